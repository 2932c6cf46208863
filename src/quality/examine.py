"""The slow way through the gate: everything that is wrong with an event, in one answer."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agentflow.events import Event, EventRef, RawEvent, identity_key
from agentflow.suggestions import nearest_or_all
from agentflow.wording import quoted
from quality import codes
from quality.attributes import Attributes, read_attributes
from quality.compile import CompiledContract
from quality.content import document_id
from quality.data import data_members
from quality.data_validation import validate_data
from quality.envelope import MAX_SIZE_BYTES, UNKNOWN_SOURCE, decode_members
from quality.fields import kind_of, shortened
from quality.repetition import repeated_member
from quality.surrogates import LoneSurrogate, lone_surrogate
from quality.unmapped import row_unmapped
from quality.verdict import Accepted, Rejected, Verdict, Violation

MAX_VIOLATIONS = 50
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Examiner:
    """Judges like the generated code, but names every violation. It may also say yes."""

    def __init__(
        self, plans: Mapping[EventRef, CompiledContract], *, current: Mapping[str, CompiledContract]
    ) -> None:
        self._plans = plans
        self._current = current

    def examine(self, raw: RawEvent) -> Verdict:
        """Return the verdict on *raw*."""
        members = _members(raw.value)
        if isinstance(members, Violation):
            return _rejected([members], Attributes(), None)
        attributes = read_attributes(members, tenant=raw.tenant)
        found = [*_repeated(raw.value), *attributes.violations]
        if attributes.type not in self._current and (why := row_unmapped(attributes.type, members)):
            return _rejected([why, *found], attributes, None)
        plan = self._plan(attributes, found)
        data = data_members(members, found)
        if plan is None or data is None:
            return _rejected(found, attributes, plan)
        fields, violations, warnings = validate_data(plan, data)
        found += violations
        occurred_us = _occurred_us(raw, attributes, fields, plan, found)
        if found:
            return _rejected(found, attributes, plan)
        return _accepted(raw, attributes, plan, fields, occurred_us, warnings)

    def _plan(self, attributes: Attributes, found: list[Violation]) -> CompiledContract | None:
        """Return the contract the envelope names."""
        name, version = attributes.type, attributes.version
        if name is None:
            return None
        if name not in self._current:
            hint = nearest_or_all(name, sorted(self._current))
            message = f"event {quoted(name)} has no contract"
            found.insert(0, Violation(codes.EVENT_UNKNOWN, "/type", message, hint))
            return None
        plan = self._current[name]
        if version is None:
            return None if attributes.version_refused else plan
        pinned = self._plans.get(EventRef(name, version))
        if pinned is None:
            known = ", ".join(str(ref.version) for ref in sorted(self._plans) if ref.type == name)
            message = f"event {quoted(name)} has no version {version}"
            hint = f"Versions: {known}."
            found.append(Violation(codes.VERSION_UNKNOWN, "/dataversion", message, hint))
        return pinned


def _members(value: bytes) -> dict[str, msgspec.Raw] | Violation:
    """Split the document into its members, or say why it is none."""
    if len(value) > MAX_SIZE_BYTES:
        message = f"the event has {len(value)} bytes, more than {MAX_SIZE_BYTES}"
        return Violation(codes.TOO_LARGE, "", message, "Send large content by reference.")
    try:
        value.decode()
        return decode_members(value)
    except UnicodeDecodeError as error:
        message = f"byte {error.start} is not UTF-8"
        return Violation(codes.NOT_UTF8, "", message, "Send JSON in UTF-8.")
    except RecursionError:
        hint = "An event is an object whose `data` holds plain values."
        return Violation(codes.TOO_DEEP, "", "the document is nested too deep", hint)
    except msgspec.ValidationError:
        message = f"the document is {kind_of(value.strip())}, not an object"
        return Violation(codes.NOT_AN_OBJECT, "", message, "Send one CloudEvents object.")
    except msgspec.DecodeError as error:
        return _malformed(value, error)


def _repeated(value: bytes) -> list[Violation]:
    pointer = repeated_member(value)
    if pointer is None:
        return []
    message = f"member {quoted(shortened(pointer[1:]))} is there more than once"
    hint = "Send every member once: which of several values counts is not defined."
    return [Violation(codes.MEMBER_REPEATED, shortened(pointer), message, hint)]


def _malformed(value: bytes, error: msgspec.DecodeError) -> Violation:
    if (half := lone_surrogate(value)) is not None:
        return _half_a_pair(half)
    message = _explained(error) if value.strip() else "the document is empty"
    hint = "Send RFC 8259 JSON; NaN and Infinity are not part of it."
    if value.startswith(_BYTE_ORDER_MARK):
        hint = "Leave out the byte order mark."
    return Violation(codes.MALFORMED_JSON, "", message, hint)


def _half_a_pair(half: LoneSurrogate) -> Violation:
    where = f"{quoted(shortened(half.pointer))}" if half.pointer else "the document"
    message = f"{where} has {half.escape}, one half of a surrogate pair, which is not a character"
    hint = "Send the character itself in UTF-8, or both halves after each other."
    return Violation(codes.MALFORMED_JSON, shortened(half.pointer), message, hint)


def _explained(error: msgspec.DecodeError) -> str:
    text = str(error)
    return "the document is cut off" if text == "Input data was truncated" else text


def _occurred_us(
    raw: RawEvent,
    attributes: Attributes,
    fields: Mapping[str, object],
    plan: CompiledContract,
    found: list[Violation],
) -> int:
    """Return event time: the contract's field, else `time`, else arrival."""
    contract = plan.contract
    occurred_us = raw.received_us if attributes.time_us is None else attributes.time_us
    place = "/time"
    if contract.event_time is not None:
        value = fields.get(contract.event_time)
        if isinstance(value, int):
            occurred_us, place = value, f"/data/{contract.event_time}"
    late_us = raw.received_us - occurred_us
    if late_us > plan.accept_us and not raw.of_any_age:
        message = f"the event is older than {contract.lateness.accept} on arrival"
        hint = "Backfill it under a contract with a longer `lateness.accept`."
        found.append(Violation(codes.TOO_LATE, place, message, hint))
    if -late_us > plan.ahead_us:
        message = f"the event lies more than {contract.lateness.ahead} in the future"
        found.append(Violation(codes.TOO_EARLY, place, message, "Set the sender's clock."))
    return occurred_us


def _rejected(
    found: list[Violation], attributes: Attributes, plan: CompiledContract | None
) -> Rejected:
    return Rejected(
        found[0].code,
        tuple(found[:MAX_VIOLATIONS]),
        attributes.type,
        attributes.id,
        attributes.source,
        plan.contract.version if plan else None,
    )


def _accepted(
    raw: RawEvent,
    attributes: Attributes,
    plan: CompiledContract,
    fields: Mapping[str, object],
    occurred_us: int,
    warnings: tuple[Violation, ...],
) -> Accepted:
    contract = plan.contract
    event_id = attributes.id or document_id(raw.value)
    source = attributes.source or UNKNOWN_SOURCE
    key = fields.get(contract.key) if contract.key else None
    event = Event(
        event_id,
        source,
        contract.name,
        contract.version,
        raw.tenant,
        occurred_us,
        raw.received_us,
        plan.data(fields),
        attributes.subject,
        attributes.correlation_id,
    )
    identity = identity_key(raw.tenant, source, event_id)
    return Accepted(
        event,
        identity,
        None if key is None else str(key).encode(),
        warnings,
        identified_by_content=attributes.id is None,
    )
