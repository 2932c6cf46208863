"""The gate: from untrusted bytes to an accepted event or a rejection, purely."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agentflow.contracts import Registry
from agentflow.errors import ContractError, UnknownContractError
from agentflow.events import Event, EventRef, RawEvent
from agentflow.suggestions import nearest_and
from agentflow.wording import quoted
from quality.compile import CompiledContract, compiled
from quality.duplicates import DeclaredFields, content_digest, same_content
from quality.envelope import MAX_SIZE_BYTES, decode_envelope, decode_extended, decode_time
from quality.examine import Examiner
from quality.record import RecordCodec
from quality.verdict import Accepted, Verdict

_ESCAPE = b"\\"
_NUL = (
    b"\\u0000"  # the only way JSON can write it; looking for the backslash alone is 8 times faster
)
_DOUBTS = (KeyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError)


class Gate:
    """Judges events by the contracts of one registry, compiled once. Safe to share by threads.

    The quick way is generated code that only knows how to say yes. Whatever it does not accept is
    examined again, slowly, field by field: by the same types, but collecting everything wrong.
    """

    def __init__(self, registry: Registry) -> None:
        self._plans = {ref: compiled(contract) for ref, contract in registry.events.items()}
        names = {ref.type for ref in self._plans}
        current = {name: self._plans[registry.event(name).ref] for name in names}
        self._current = {name: plan.accept for name, plan in current.items()}
        self._pinned = {
            (ref.type, written): plan.accept
            for ref, plan in self._plans.items()
            for written in (ref.version, str(ref.version))
        }
        self._examiner = Examiner(self._plans, current=current)
        self._codecs = {ref: RecordCodec(plan.data_type) for ref, plan in self._plans.items()}

    def judge(self, raw: RawEvent) -> Verdict:
        """Return the verdict on *raw*: a function of its bytes, tenant and arrival only."""
        return self.quick(raw) or self.examine(raw)

    def quick(self, raw: RawEvent) -> Accepted | None:
        """Return the verdict by generated code, when that is a plain yes; None at any doubt."""
        value = raw.value
        if len(value) > MAX_SIZE_BYTES or (_ESCAPE in value and _NUL in value):
            return None
        try:
            envelope = decode_envelope(value)
            if envelope.dataversion is None:
                return self._current[envelope.type](raw, envelope)
            return self._pinned[envelope.type, envelope.dataversion](raw, envelope)
        except msgspec.ValidationError:
            return self._extended(raw)
        except _DOUBTS:
            return None

    def examine(self, raw: RawEvent) -> Verdict:
        """Return the verdict on *raw* the slow way, which names everything that is wrong."""
        return self._examiner.examine(raw)

    def _extended(self, raw: RawEvent) -> Accepted | None:
        """Accept an event that only differs by having extension attributes."""
        try:
            envelope = decode_extended(raw.value)
            if envelope is None:
                return None
            if envelope.dataversion is None:
                return self._current[envelope.type](raw, envelope)
            return self._pinned[envelope.type, envelope.dataversion](raw, envelope)
        except _DOUBTS:
            return None

    def knows(self, ref: EventRef) -> bool:
        """Tell whether the registry has that event version."""
        return ref in self._plans

    def data_type(self, ref: EventRef) -> type[msgspec.Struct]:
        """Return the frozen struct of an event's data: declared fields, then derived ones.

        Attributes hold str, int, Decimal (quantized to the field's scale), float, bool, int
        microseconds for a timestamp, `YYYY-MM-DD` text for a date, and None for what is absent.
        Fields named like a Python keyword are found under `quality.attribute_of(name)`.

        Raises:
            UnknownContractError: The registry has no such event.
        """
        return self._plan(ref).data_type

    def encode(self, event: Event) -> bytes:
        """Return the record of an accepted event; its type and version are not part of it.

        Raises:
            UnknownContractError: The registry has no such event.
        """
        codec = self._codecs.get((event.type, event.version))  # type: ignore[call-overload]
        return self._codec(event.ref).encode(event) if codec is None else codec.encode(event)

    def decode(self, ref: EventRef, record: bytes) -> Event:
        """Return the event that `encode` was given, under the contract *ref* names.

        Fields the contract no longer has are dropped; those it gained are None.

        Raises:
            UnknownContractError: The registry has no such event.
            StorageCorruptError: The bytes are not a record of that event.
        """
        return self._codec(ref).decode(ref, record)

    def amended(self, event: Event, changes: Mapping[str, object]) -> Event:
        """Return *event* with declared fields replaced and derived ones computed again.

        Raises:
            ContractError: A name in *changes* is not a declared field.
        """
        plan = self._plan(event.ref)
        if unknown := changes.keys() - plan.contract.fields.keys():
            raise ContractError(f"event {quoted(event.ref)} has no field {quoted(min(unknown))}")
        data = plan.data({**plan.declared(event.data), **changes})
        return msgspec.structs.replace(event, data=data)

    def declared_fields(self, event: Event) -> DeclaredFields:
        """Return the declared fields of an event that are not null, by name.

        Raises:
            UnknownContractError: The registry has no such event.
        """
        declared = self._plan(event.ref).declared(event.data)
        return {name: value for name, value in declared.items() if value is not None}

    def content(self, raw: RawEvent, accepted: Accepted) -> bytes:
        """Return 8 bytes that are equal for events that say the same (`quality.duplicates`).

        Raises:
            UnknownContractError: The registry has no such event.
        """
        event, declared = accepted.event, self.declared_fields(accepted.event)
        timed = self._plan(event.ref).contract.event_time not in declared and (
            event.occurred_us != event.ingested_us or decode_time(raw.value).time is not None
        )
        return content_digest(event, declared, timed=timed)

    def same(self, first: Event, again: Event) -> bool:
        """Tell whether two events of one identity say the same (`quality.duplicates`).

        Raises:
            UnknownContractError: The registry does not have one of them.
        """
        return same_content(
            first, again, declared=(self.declared_fields(first), self.declared_fields(again))
        )

    def _plan(self, ref: EventRef) -> CompiledContract:
        plan = self._plans.get(ref)
        if plan is None:
            raise self._unknown(ref)
        return plan

    def _codec(self, ref: EventRef) -> RecordCodec:
        codec = self._codecs.get(ref)
        if codec is None:
            raise self._unknown(ref)
        return codec

    def _unknown(self, ref: EventRef) -> UnknownContractError:
        known = [str(known_ref) for known_ref in self._plans]
        error = UnknownContractError("event", str(ref), known=known)
        error.hint = nearest_and(str(ref), known, error.hint or "")
        return error
