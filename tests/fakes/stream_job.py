"""What the job in the stream does with one raw record, as plain Python: for tests and benches."""

from __future__ import annotations

from typing import NamedTuple

from agentflow.contracts import Registry
from agentflow.events import RawEvent
from ingestion.log.port import DEAD_LETTERS, DUPLICATES, VALIDATED, NewRecord, Record, Reject
from processing.transformations.routing import Router
from quality.gate import Gate


class Outcome(NamedTuple):
    """A record for one of the three topics."""

    topic: str
    record: NewRecord


class PlainJob:
    """Judges raw records one after another; remembers identities like keyed state."""

    def __init__(self, registry: Registry) -> None:
        self._gate = Gate(registry)
        self._router = Router(registry, self._gate)
        self.known: set[bytes] = set()

    def outcome(self, record: Record, raw_topic: str) -> Outcome:
        """Return what *record* becomes."""
        place = {
            "raw_topic": raw_topic,
            "raw_partition": str(record.partition),
            "raw_offset": str(record.offset),
        }
        tenant = record.headers.get("tenant") or "default"
        received_us = int(record.headers.get("received_us") or record.timestamp_us)
        raw = RawEvent(record.value, tenant, received_us)
        verdict = self._router.route(raw, self._gate.judge(raw))
        if isinstance(verdict, Reject):
            headers = {"tenant": tenant, "reason": verdict.reason, **place}
            if verdict.type is not None:
                headers["type"] = verdict.type
            if verdict.event_id is not None:
                headers["event_id"] = verdict.event_id
            return Outcome(DEAD_LETTERS, NewRecord(None, verdict.detail, headers, received_us))
        if verdict.identity in self.known:
            headers = {"tenant": tenant, "identity": verdict.identity.hex(), **place}
            return Outcome(DUPLICATES, NewRecord(verdict.key, b"", headers, received_us))
        self.known.add(verdict.identity)
        headers = {
            "type": verdict.type,
            "version": str(verdict.version),
            "tenant": verdict.tenant,
            "occurred_us": str(verdict.occurred_us),
            **place,
        }
        return Outcome(VALIDATED, NewRecord(verdict.key, verdict.value, headers, received_us))
