"""The gate of a stream: one record of a raw topic becomes the records that answer for it.

This is all that the Flink job "gate" does with an event; the embedded log stores the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from agentflow.contracts import Registry
from agentflow.events import RawEvent
from ingestion.cdc import Refusal, Sources, TopicRecord, events_of
from ingestion.kafka.cloudevents import structured
from ingestion.log.plan import accepted_record, dead_letter_record
from ingestion.log.port import DEAD_LETTERS, DUPLICATES, VALIDATED, NewRecord, Reject
from processing.transformations.routing import Router
from quality import Accepted, Gate, Rejected, Violation
from quality.codes import ATTRIBUTE_INVALID
from quality.duplicates import id_conflict
from quality.envelope import MAX_ATTRIBUTE_LENGTH

DEFAULT_TENANT: Final = "default"
NOT_JUDGED: Final = "not_judged"
"""Why an event is a dead letter at which the gate itself failed; it must not stop the stream."""

PLACE: Final = ("raw_topic", "raw_partition", "raw_offset")
"""The headers that say where in the raw topics an answer comes from."""

_FIRST_US: Final = 946_684_800_000_000  # 2000-01-01T00:00:00Z
_LAST_US: Final = 253_402_300_799_999_999
_DIGITS: Final = 18
_AHEAD_US: Final = 300_000_000
_ABSENT: Final[Mapping[str, bytes | None]] = {}
_HINT: Final = "Write the tenant in UTF-8, at most 1,024 characters, or leave the header out."
_TENANT_REFUSED: Final = Rejected(
    ATTRIBUTE_INVALID,
    (Violation(ATTRIBUTE_INVALID, "/tenant", 'header "tenant" names no tenant', _HINT),),
)


class StreamRecord(msgspec.Struct, frozen=True, gc=False):
    """A record of a raw topic, untrusted in every part but its place."""

    topic: str
    partition: int
    offset: int
    timestamp_us: int
    key: bytes | None = None
    value: bytes | None = None
    headers: Mapping[str, bytes | None] = _ABSENT


class StreamOutput(msgspec.Struct, frozen=True, gc=False):
    """One record that answers for a raw record, and the topic it belongs to.

    Attributes:
        topic: `validated`, `dead_letters` or `duplicates`.
        identity: Of an accepted event: the first record of an identity belongs to `validated`. In
            the place of a later one of the same content belongs its `receipt`, in the place of one
            of other content what `StreamGate.conflict` returns.
        content: 8 bytes, equal for accepted events that say the same (`quality.duplicates`).
        document: An accepted event as it was judged.
    """

    topic: str
    record: NewRecord
    identity: bytes | None = None
    content: bytes | None = None
    document: bytes = b""


class StreamGate:
    """Judges records of raw topics. Total: whatever arrives, each record is answered for.

    Topics that a source contract names hold changes of a database; all others hold events.
    """

    def __init__(self, registry: Registry) -> None:
        self._sources = Sources(registry)
        self._gate = Gate(registry)
        self._router = Router(registry, self._gate, linked=False)

    @property
    def change_topics(self) -> tuple[str, ...]:
        """The topics that hold changes of a database."""
        return self._sources.topics

    def outputs(self, record: StreamRecord) -> Sequence[StreamOutput]:
        """Return the answers to *record*, at least one."""
        if record.topic not in self._sources.tables:
            return (self.output(record),)
        raw = _raw(record, record.value or b"")
        raw = msgspec.structs.replace(raw, tenant=self._sources.tenant(record.topic))
        try:
            raws = self._events(record, raw.received_us)
            if isinstance(raws, Refusal):
                tenant = raws.tenant or raw.tenant
                raw = msgspec.structs.replace(raw, tenant=tenant)
                return (self._rejected(record, raw, raws.rejected()),)
        except Exception as error:  # noqa: BLE001 - one record must not stop the others
            return (self._rejected(record, raw, _not_judged(error)),)
        if not raws:
            return (_nothing(record, raw),)
        return [self._judged(record, each) for each in raws]

    def _events(self, record: StreamRecord, received_us: int) -> Sequence[RawEvent] | Refusal:
        read = TopicRecord(record.topic, record.key, record.value, tuple(record.headers.items()))
        return events_of(read, self._sources, received_us=received_us)

    def output(self, record: StreamRecord) -> StreamOutput:
        """Return the answer to *record*, which is one event."""
        value = record.value or b""
        if "ce_type" in record.headers:
            value = structured(sorted(record.headers.items()), value)
        return self._judged(record, _raw(record, value))

    def _judged(self, record: StreamRecord, raw: RawEvent) -> StreamOutput:
        if not _names_a_tenant(raw.tenant):
            # The dead letters of a tenant without a name could not be asked for.
            raw = msgspec.structs.replace(raw, tenant=DEFAULT_TENANT)
            return self._rejected(record, raw, _TENANT_REFUSED)
        try:
            verdict = self._gate.judge(raw)
            if isinstance(verdict, Rejected):
                return self._rejected(record, raw, verdict)
            routed = self._router.accept(raw, verdict)
        except Exception as error:  # noqa: BLE001 - one record must not stop the others
            return self._rejected(record, raw, _not_judged(error))
        accepted = accepted_record(raw, routed, _place(record))
        content = self._gate.content(raw, verdict)
        return StreamOutput(VALIDATED, accepted, routed.identity, content, raw.value)

    def conflict(self, output: StreamOutput) -> StreamOutput:
        """Return the dead letter of an accepted event whose identity another one has."""
        record = output.record
        raw = RawEvent(output.document, record.headers["tenant"], record.timestamp_us)
        return self.conflict_letter(raw, {name: record.headers[name] for name in PLACE})

    def conflict_letter(self, raw: RawEvent, place: Mapping[str, str]) -> StreamOutput:
        """Return the dead letter of *raw*, an event that the gate accepted; total."""
        verdict = self._gate.judge(raw)
        if isinstance(verdict, Rejected):  # a snapshot's row, which is too late for any other
            raw = msgspec.structs.replace(raw, of_any_age=True)
            verdict = self._gate.judge(raw)
        why = id_conflict(verdict.event) if isinstance(verdict, Accepted) else verdict
        letter = self._router.reject(raw, why)
        return StreamOutput(DEAD_LETTERS, dead_letter_record(raw, letter, place))

    def _rejected(self, record: StreamRecord, raw: RawEvent, why: Rejected) -> StreamOutput:
        return _dead(record, raw, self._router.reject(raw, why))


class Identities:
    """Decides like the job between judging and writing: what the first of an identity is, counts.

    For tests and benches, and as the one place that says what the job's SQL has to do.
    """

    def __init__(self, gate: StreamGate) -> None:
        self._gate = gate
        self.known: dict[bytes, bytes | None] = {}

    def settled(self, output: StreamOutput) -> StreamOutput:
        """Return what is written for *output*, the next one in the order of arrival."""
        if output.identity is None:
            return output
        if output.identity not in self.known:
            self.known[output.identity] = output.content
            return output
        if self.known[output.identity] == output.content:
            return StreamOutput(DUPLICATES, receipt(output), output.identity)
        return self._gate.conflict(output)


def receipt(output: StreamOutput) -> NewRecord:
    """Return what `duplicates` holds of an accepted event whose identity has been seen before."""
    record, headers = output.record, output.record.headers
    kept = {name: headers[name] for name in ("tenant", *PLACE)}
    identity = b"" if output.identity is None else output.identity
    return NewRecord(record.key, b"", {**kept, "identity": identity.hex()}, record.timestamp_us)


def _nothing(record: StreamRecord, raw: RawEvent) -> StreamOutput:
    """Account for a record that means no event: a tombstone, a heartbeat, an unwatched change."""
    headers = {"tenant": raw.tenant, **_place(record)}
    return StreamOutput(DUPLICATES, NewRecord(None, b"", headers, raw.received_us))


def _dead(record: StreamRecord, raw: RawEvent, reject: Reject) -> StreamOutput:
    return StreamOutput(DEAD_LETTERS, dead_letter_record(raw, reject, _place(record)))


def _raw(record: StreamRecord, value: bytes) -> RawEvent:
    tenant = (record.headers.get("tenant") or b"").decode("utf-8", "replace")
    any_age = record.headers.get("of_any_age") == b"true"
    return RawEvent(value, tenant or DEFAULT_TENANT, _received_us(record), any_age)


def _place(record: StreamRecord) -> dict[str, str]:
    return {
        "raw_topic": record.topic,
        "raw_partition": str(record.partition),
        "raw_offset": str(record.offset),
    }


def _names_a_tenant(tenant: str) -> bool:
    return len(tenant) <= MAX_ATTRIBUTE_LENGTH and "\ufffd" not in tenant and "\0" not in tenant


def _received_us(record: StreamRecord) -> int:
    """Return when the edge took the event, as it says, or else when the broker got it.

    Brokers refuse records from the future, and one refused record would stop the job for good: an
    edge that claims to be far ahead of the broker is not believed. Nor is one before the year 2000:
    it left the header at 0, or wrote seconds or milliseconds, and its events would be too early.
    """
    known = min(max(record.timestamp_us, 0), _LAST_US)
    written = record.headers.get("received_us")
    if written is None or len(written) > _DIGITS or not written.isdigit():
        return known
    received = int(written)
    return received if _FIRST_US <= received <= known + _AHEAD_US else known


def _not_judged(error: Exception) -> Rejected:
    message = f"the gate failed at this event: {type(error).__name__}"
    hint = "Report it with this dead letter, and replay it once the gate is fixed."
    return Rejected(NOT_JUDGED, (Violation(NOT_JUDGED, "", message, hint),))
