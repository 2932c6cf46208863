"""Where a verdict goes: to the validated topic with its links, or to the dead letters."""

from __future__ import annotations

import msgspec

from agentflow.contracts import Registry
from agentflow.errors import StorageCorruptError, UnknownContractError
from agentflow.events import Event, EventRef, RawEvent
from ingestion.log.port import Accept, NewRecord, Record, Reject
from processing.transformations.dead_letter import (
    dead_letter,
    letter_identity,
    personal_pointers,
)
from processing.transformations.links import Linker
from quality import Accepted, Gate, Rejected, Verdict
from quality.duplicates import id_conflict
from quality.record import Named, named


class Routed(Accept, frozen=True, gc=False):
    """An accept that still knows its event, so that the engine need not decode it again."""

    event: Event | None = None
    raw: RawEvent | None = None
    router: Router | None = None

    def conflict(self, first: NewRecord | Record) -> Reject | None:
        """Return the dead letter of an event whose identity *first* has, with other content."""
        if self.event is None or self.raw is None or self.router is None:
            return None
        found = self.router.conflict(first, self.event)
        return None if found is None else self.router.reject(self.raw, found)


class Router:
    """Turns verdicts of the gate into what the log commits. Safe to share by threads.

    Args:
        registry: The contracts.
        gate: A gate over the same contracts.
        linked: Whether accepts carry their links. A stream has no index of them: who follows it
            computes them when it stores the event.
    """

    def __init__(self, registry: Registry, gate: Gate, *, linked: bool = True) -> None:
        self._gate = gate
        self._encode = gate.encode
        self._links = Linker(registry).links if linked else _no_links
        self._personal = {
            ref: personal_pointers(contract) for ref, contract in registry.events.items()
        }

    def route(self, raw: RawEvent, verdict: Verdict) -> Routed | Reject:
        """Return the log's form of the verdict on *raw*."""
        if isinstance(verdict, Accepted):
            return self.accept(raw, verdict)
        return self.reject(raw, verdict)

    def accept(self, raw: RawEvent, verdict: Accepted) -> Routed:
        """Return the log's form of an acceptance."""
        event = verdict.event
        return Routed(
            verdict.identity,
            event.type,
            event.version,
            event.tenant,
            verdict.key,
            self._encode(event),
            event.occurred_us,
            self._links(event),
            event,
            raw,
            self,
        )

    def conflict(self, first: NewRecord | Record, event: Event) -> Rejected | None:
        """Return why *event* may not count beside *first*, a record of its identity.

        None when it says the same, or when that cannot be told because *first* or its contract is
        gone.
        """
        headers = first.headers
        ref = EventRef(headers["type"], int(headers["version"]))
        if named(first.value) != Named(event.id, event.source, event.tenant):
            return None
        if ref.type != event.type:
            return id_conflict(event)
        try:
            repeated = self._gate.same(self._gate.decode(ref, first.value), event)
        except (UnknownContractError, StorageCorruptError):
            return None
        return None if repeated else id_conflict(event)

    def reject(self, raw: RawEvent, verdict: Rejected) -> Reject:
        """Return the log's form of a rejection."""
        personal: tuple[str, ...] = ()
        if verdict.type is not None and verdict.version is not None:
            personal = self._personal.get(EventRef(verdict.type, verdict.version), ())
        detail = msgspec.json.encode(dead_letter(verdict, raw, personal=personal))
        same = letter_identity(raw.tenant, verdict.reason, raw.value)
        return Reject(raw.tenant, verdict.reason, detail, verdict.type, verdict.event_id, same)


def _no_links(_event: Event) -> tuple[bytes, ...]:
    return ()
