"""Decide what a batch becomes: from dispositions and known identities to records, purely."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from agentflow.events import RawEvent
from ingestion.log.port import (
    Accept,
    Batch,
    Committed,
    DeadLettered,
    Duplicate,
    NewRecord,
    Outcome,
    Record,
    Reject,
    Stored,
)

_NOTHING: Mapping[int, Record] = {}
_UNKNOWN: Mapping[bytes, int] = {}


class NextOffsets(NamedTuple):
    """The next offset of each topic that a commit appends to."""

    raw: int
    validated: int
    dead_letters: int


class CommitPlan(NamedTuple):
    """What to append, and what to answer once that is durable.

    `identities` has one digest per record in `validated`; `links` and, of dead letters, `letters`
    are (digest, offset) by offset.
    """

    raw: list[NewRecord]
    validated: list[NewRecord]
    dead_letters: list[NewRecord]
    identities: list[bytes]
    links: list[tuple[bytes, int]]
    letters: list[tuple[bytes, int]]
    committed: Committed


def plan_commit(
    batch: Batch,
    *,
    known: Mapping[bytes, int],
    ends: NextOffsets,
    firsts: Mapping[int, Record] = _NOTHING,
    letter_at: Callable[[bytes], int | None] = _UNKNOWN.get,
) -> CommitPlan:
    """Give every raw event its outcome and every record its offset.

    *known* maps identities that were accepted before to their `validated` offset; an identity that
    repeats inside the batch belongs to its first occurrence. *firsts* are the records at these
    offsets; where one is missing (it was never in this log), its repetitions are duplicates.
    *letter_at* returns where in `dead_letters` what is refused now was refused before, or None.
    """
    raw: list[NewRecord] = []
    validated: list[NewRecord] = []
    links: list[tuple[bytes, int]] = []
    outcomes: list[Outcome] = []
    fresh: dict[bytes, int] = {}
    letters = _Letters(ends.dead_letters, letter_at)
    tenants: dict[str, dict[str, str]] = {}
    next_offset = ends.validated
    for raw_offset, (event, disposition) in enumerate(
        zip(batch.raws, batch.dispositions, strict=True), ends.raw
    ):
        tenant = event.tenant
        if (headers := tenants.get(tenant)) is None:
            headers = tenants[tenant] = {"tenant": tenant}
        raw.append(NewRecord(None, event.value, headers, event.received_us))
        first = None
        if isinstance(disposition, Accept):
            before: NewRecord | Record | None = None
            if (first := known.get(disposition.identity)) is not None:
                before = firsts.get(first)
            elif (first := fresh.get(disposition.identity)) is not None:
                before = validated[first - ends.validated]
            if before is not None and (conflict := disposition.conflict(before)) is not None:
                disposition = conflict  # noqa: PLW2901 - another event has its identity
        if isinstance(disposition, Reject):
            offset = letters.take(event, disposition, {"raw_offset": str(raw_offset)})
            outcomes.append(DeadLettered(raw_offset, offset))
            continue
        if first is not None:
            outcomes.append(Duplicate(raw_offset, first))
            continue
        fresh[disposition.identity] = next_offset
        validated.append(accepted_record(event, disposition, {"raw_offset": str(raw_offset)}))
        outcomes.append(Stored(raw_offset, next_offset))
        if disposition.links:
            links.extend([(link, next_offset) for link in dict.fromkeys(disposition.links)])
        next_offset += 1
    committed = Committed(
        outcomes=outcomes,
        raw=range(ends.raw, ends.raw + len(raw)),
        validated=range(ends.validated, next_offset),
        dead_letters=range(ends.dead_letters, letters.next),
    )
    known_letters = list(letters.fresh.items())
    return CommitPlan(raw, validated, letters.records, list(fresh), links, known_letters, committed)


class _Letters:
    """The dead letters of a commit: one for all that is the same, also of earlier commits."""

    def __init__(self, first: int, at: Callable[[bytes], int | None]) -> None:
        self.next = first
        self.records: list[NewRecord] = []
        self.fresh: dict[bytes, int] = {}
        self._at = at

    def take(self, event: RawEvent, disposition: Reject, place: Mapping[str, str]) -> int:
        """Return where the dead letter of an event is, which may be that of an earlier one."""
        same = disposition.identity
        if same is not None:
            known = self.fresh.get(same)
            known = self._at(same) if known is None else known
            if known is not None:
                return known
            self.fresh[same] = self.next
        self.records.append(dead_letter_record(event, disposition, place))
        self.next += 1
        return self.next - 1


def accepted_record(event: RawEvent, disposition: Accept, place: Mapping[str, str]) -> NewRecord:
    """Return what `validated` holds of an event that counts; *place* says where it is in `raw`."""
    headers = {
        "type": disposition.type,
        "version": str(disposition.version),
        "tenant": disposition.tenant,
        "occurred_us": str(disposition.occurred_us),
        **place,
    }
    return NewRecord(disposition.key, disposition.value, headers, event.received_us)


def dead_letter_record(event: RawEvent, disposition: Reject, place: Mapping[str, str]) -> NewRecord:
    """Return what `dead_letters` holds of an event that was refused."""
    headers = {"tenant": disposition.tenant, "reason": disposition.reason, **place}
    if disposition.type is not None:
        headers["type"] = disposition.type
    if disposition.event_id is not None:
        headers["event_id"] = disposition.event_id
    return NewRecord(None, disposition.detail, headers, event.received_us)
