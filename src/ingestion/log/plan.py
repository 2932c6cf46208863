"""Decide what a batch becomes: a pure function from verdicts and known identities to records."""

from __future__ import annotations

from collections.abc import Mapping
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


class Ends(NamedTuple):
    """The next offset of each topic that a commit appends to."""

    raw: int
    validated: int
    dead_letters: int


class Plan(NamedTuple):
    """What to append, and what to answer once that is durable.

    `identities` has one digest per record in `validated`; `links` are (digest, offset) by offset.
    """

    raw: list[NewRecord]
    validated: list[NewRecord]
    dead_letters: list[NewRecord]
    identities: list[bytes]
    links: list[tuple[bytes, int]]
    committed: Committed


def plan_commit(
    batch: Batch,
    *,
    known: Mapping[bytes, int],
    ends: Ends,
    firsts: Mapping[int, Record] = _NOTHING,
) -> Plan:
    """Give every raw event its outcome and every record its offset.

    *known* maps identities that were accepted before to their `validated` offset; an identity that
    repeats inside the batch belongs to its first occurrence. *firsts* are the records at these
    offsets; where one is missing (it was never in this log), its repetitions are duplicates.
    """
    raw: list[NewRecord] = []
    validated: list[NewRecord] = []
    dead_letters: list[NewRecord] = []
    links: list[tuple[bytes, int]] = []
    outcomes: list[Outcome] = []
    fresh: dict[bytes, int] = {}
    tenants: dict[str, dict[str, str]] = {}
    next_offset, next_dead = ends.validated, ends.dead_letters
    for raw_offset, (event, verdict) in enumerate(
        zip(batch.raws, batch.verdicts, strict=True), ends.raw
    ):
        tenant = event.tenant
        if (headers := tenants.get(tenant)) is None:
            headers = tenants[tenant] = {"tenant": tenant}
        raw.append(NewRecord(None, event.value, headers, event.received_us))
        first = None
        if isinstance(verdict, Accept):
            before: NewRecord | Record | None = None
            if (first := known.get(verdict.identity)) is not None:
                before = firsts.get(first)
            elif (first := fresh.get(verdict.identity)) is not None:
                before = validated[first - ends.validated]
            if before is not None and (conflict := verdict.conflict(before)) is not None:
                verdict = conflict  # noqa: PLW2901 - another event has its identity
        if isinstance(verdict, Reject):
            dead_letters.append(dead_letter_record(event, verdict, {"raw_offset": str(raw_offset)}))
            outcomes.append(DeadLettered(raw_offset, next_dead))
            next_dead += 1
            continue
        if first is not None:
            outcomes.append(Duplicate(raw_offset, first))
            continue
        fresh[verdict.identity] = next_offset
        validated.append(accepted_record(event, verdict, {"raw_offset": str(raw_offset)}))
        outcomes.append(Stored(raw_offset, next_offset))
        if verdict.links:
            links.extend([(link, next_offset) for link in dict.fromkeys(verdict.links)])
        next_offset += 1
    committed = Committed(
        outcomes=outcomes,
        raw=range(ends.raw, ends.raw + len(raw)),
        validated=range(ends.validated, next_offset),
        dead_letters=range(ends.dead_letters, next_dead),
    )
    return Plan(raw, validated, dead_letters, list(fresh), links, committed)


def accepted_record(event: RawEvent, verdict: Accept, place: Mapping[str, str]) -> NewRecord:
    """Return what `validated` holds of an event that counts; *place* says where it is in `raw`."""
    headers = {
        "type": verdict.type,
        "version": str(verdict.version),
        "tenant": verdict.tenant,
        "occurred_us": str(verdict.occurred_us),
        **place,
    }
    return NewRecord(verdict.key, verdict.value, headers, event.received_us)


def dead_letter_record(event: RawEvent, verdict: Reject, place: Mapping[str, str]) -> NewRecord:
    """Return what `dead_letters` holds of an event that was refused."""
    headers = {"tenant": verdict.tenant, "reason": verdict.reason, **place}
    if verdict.type is not None:
        headers["type"] = verdict.type
    if verdict.event_id is not None:
        headers["event_id"] = verdict.event_id
    return NewRecord(None, verdict.detail, headers, event.received_us)
