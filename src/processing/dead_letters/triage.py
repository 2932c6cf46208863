"""Dead letters: what was refused, why, and how it is fixed and sent again."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

import msgspec

from agentflow.clock import Clock
from agentflow.errors import NotFoundError
from agentflow.events import RawEvent
from control_store.triage.port import Triage, TriageStatus, TriageStore
from ingestion.cdc import Sources
from ingestion.log.port import DEAD_LETTERS, RAW, CommitLog, Record
from processing.dead_letters.change_letters import change_events, means_changes
from processing.dead_letters.json_pointers import edited
from processing.transformations.dead_letter import DeadLetter
from processing.write.results import EventResult
from quality.verdict import Rejected, Verdict

_CLOSED = (TriageStatus.REPLAYED, TriageStatus.DISCARDED)
_READ_AT_ONCE = 256
_SENT_AT_ONCE = 100
Ingest = Callable[[Sequence[RawEvent]], Awaitable[list[EventResult]]]
JudgeAgain = Callable[[RawEvent], Verdict]


@dataclass(frozen=True, slots=True)
class Triaged:
    """A dead letter and what was decided about it.

    Attributes:
        raw_offset: Where the log keeps all that arrived; None when that is in a stream.
    """

    offset: int
    letter: DeadLetter
    received_us: int
    triage: Triage
    raw_offset: int | None = None


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which dead letters are meant; None means any.

    Attributes:
        types: Of one of these types.
    """

    reason: str | None = None
    type: str | None = None
    status: TriageStatus | None = None
    types: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Fix:
    """A correction: a whole new event, or changes to parts of the one that was refused.

    Attributes:
        changes: JSON pointer → new value.
        removals: JSON pointers of members to drop.
    """

    event: Mapping[str, object] | None = None
    changes: Mapping[str, object] = field(default_factory=dict)
    removals: Sequence[str] = ()
    note: str = ""


class DeadLetters:
    """Reads the dead-letter topic, remembers decisions, sends corrected events through the gate.

    A replay keeps the event's id: an event that was accepted meanwhile still counts once,
    and one whose id belongs to another event is refused until a fix gives it an id of its own.
    What would be refused again is not sent: it would only make another dead letter, and a
    replay of all of them would double their number each time. A refused change of a database is
    read again by the source contract in force, and becomes the events it means.
    """

    def __init__(
        self,
        log: CommitLog,
        triage: TriageStore,
        ingest: Ingest,
        judge: JudgeAgain,
        sources: Callable[[], Sources],
        *,
        clock: Clock,
    ) -> None:
        self._log = log
        self._triage = triage
        self._ingest = ingest
        self._judge = judge
        self._sources = sources
        self._clock = clock

    def page(
        self, tenant: str, criteria: Criteria, *, below: int | None, limit: int
    ) -> tuple[list[Triaged], int | None]:
        """Return up to *limit* matching dead letters, newest first, and where the next page begins.

        Pass the second value as *below* to go on; None means there is no more.
        """
        found: list[Triaged] = []
        for item in self._newest_first(tenant, criteria, below):
            if len(found) == limit:
                return found, found[-1].offset
            found.append(item)
        return found, None

    def closed(self, tenant: str, types: frozenset[str] | None = None) -> Mapping[str, int]:
        """Count by reason the dead letters that are dealt with: replayed or discarded."""
        criteria = Criteria(types=types)
        counts: Counter[str] = Counter()
        for status in _CLOSED:
            after = -1
            while decided := self._triage.triaged(status, after=after, limit=_READ_AT_ONCE):
                after = decided[-1].offset
                records = self._log.read_offsets(DEAD_LETTERS, [each.offset for each in decided])
                counts.update(
                    record.headers["reason"]
                    for record in records
                    if _matches(record, tenant, criteria)
                )
        return counts

    def get(self, tenant: str, offset: int) -> Triaged:
        """Return one dead letter.

        Raises:
            NotFoundError: There is none at *offset* for this tenant.
        """
        records = self._log.read_offsets(DEAD_LETTERS, [offset]) if offset >= 0 else ()
        mine = [record for record in records if record.headers["tenant"] == tenant]
        if not mine:
            raise NotFoundError(
                f"dead letter {offset} does not exist",
                hint="List them with GET /v1/deadletter.",
            )
        return self._triaged(mine)[0]

    async def fix(self, tenant: str, offset: int, fix: Fix, *, who: str) -> EventResult:
        """Correct a dead letter and send it again; the correction is kept even if it is refused.

        Raises:
            NotFoundError: There is no such dead letter.
            ParameterError: It is not a JSON object, so only a whole event can replace it.
        """
        item = await asyncio.to_thread(self.get, tenant, offset)
        if fix.event is not None:
            value = msgspec.json.encode(fix.event)
        else:
            value = edited(self._raw(item), fix.changes, fix.removals)
        return await self._send(item, value, status=TriageStatus.FIXED, who=who, note=fix.note)

    async def replay(self, tenant: str, offset: int, *, who: str) -> EventResult:
        """Send a dead letter again as it is (or as it was fixed): the contract may have changed.

        Raises:
            NotFoundError: There is no such dead letter.
        """
        item = await asyncio.to_thread(self.get, tenant, offset)
        return await self._replay(item, who=who)

    async def _replay(self, item: Triaged, *, who: str) -> EventResult:
        value = item.triage.fixed_value or self._raw(item)
        note = item.triage.note
        return await self._send(item, value, status=item.triage.status, who=who, note=note)

    async def replay_all(
        self, tenant: str, criteria: Criteria, *, who: str, limit: int = 10_000
    ) -> list[tuple[int, EventResult]]:
        """Send every matching dead letter that is not replayed or discarded again, oldest first."""
        items = await asyncio.to_thread(self._open_ones, tenant, criteria, limit)
        results: list[tuple[int, EventResult]] = []
        for start in range(0, len(items), _SENT_AT_ONCE):
            part = items[start : start + _SENT_AT_ONCE]
            sent = await asyncio.gather(*(self._replay(item, who=who) for item in part))
            results += zip((item.offset for item in part), sent, strict=True)
        return results

    def _open_ones(self, tenant: str, criteria: Criteria, limit: int) -> list[Triaged]:
        """Return what is not dealt with, oldest first; the newest of it when there is more."""
        waiting = (
            item
            for item in self._newest_first(tenant, criteria, None)
            if item.triage.status not in _CLOSED
        )
        return list(islice(waiting, limit))[::-1]

    def discard(self, tenant: str, offset: int, *, who: str, note: str) -> Triaged:
        """Decide that a dead letter is not worth fixing.

        Raises:
            NotFoundError: There is no such dead letter.
        """
        item = self.get(tenant, offset)
        triage = replace(
            item.triage,
            status=TriageStatus.DISCARDED,
            who=who,
            note=note,
            decided_us=self._clock.now_us(),
        )
        self._triage.decide(triage)
        return replace(item, triage=triage)

    async def _send(
        self, item: Triaged, value: bytes, *, status: TriageStatus, who: str, note: str
    ) -> EventResult:
        result = await self._taken(item, value)
        refused = result.status == "rejected"
        decision = Triage(
            offset=item.offset,
            status=status if refused else TriageStatus.REPLAYED,
            note=note,
            who=who,
            decided_us=self._clock.now_us(),
            replayed_as=None if refused else result.offset,
            fixed_value=value if value != self._raw(item) else None,
        )
        if decision != replace(item.triage, who=who, decided_us=decision.decided_us):
            await asyncio.to_thread(self._triage.decide, decision)
        return result

    async def _taken(self, item: Triaged, value: bytes) -> EventResult:
        """Send what *value* means, if the gate takes all of it; return what became of the first."""
        raws = self._means(item, value)
        verdicts = [raws] if isinstance(raws, Rejected) else map(self._judge, raws)
        for verdict in verdicts:
            if isinstance(verdict, Rejected):
                return _refused(verdict)
        assert not isinstance(raws, Rejected)  # noqa: S101 - it is among the verdicts
        results = await self._ingest(raws) if raws else [_NOTHING]
        return next((each for each in results if each.status == "rejected"), results[0])

    def _means(self, item: Triaged, value: bytes) -> Sequence[RawEvent] | Rejected:
        # lateness is judged by when the event first arrived: triage may take weeks
        letter, received_us = item.letter, item.received_us
        if means_changes(letter, value):
            return change_events(letter, value, self._sources(), received_us=received_us)
        return [RawEvent(value, letter.tenant, received_us, letter.of_any_age)]

    def _raw(self, item: Triaged) -> bytes:
        """Return what arrived: all of it from the raw topic, else what the dead letter holds."""
        if item.raw_offset is not None and (
            records := self._log.read_offsets(RAW, [item.raw_offset])
        ):
            return records[0].value
        letter = item.letter
        return b64decode(letter.raw_base64 or "") if letter.raw is None else letter.raw.encode()

    def _newest_first(
        self, tenant: str, criteria: Criteria, below: int | None
    ) -> Iterator[Triaged]:
        end = self._log.end(DEAD_LETTERS) if below is None else below
        while end > 0:
            start = max(end - _READ_AT_ONCE, 0)
            records = self._log.read(DEAD_LETTERS, start=start, limit=end - start)
            mine = [
                record
                for record in records
                if record.offset < end and _matches(record, tenant, criteria)
            ]
            for item in reversed(self._triaged(mine)):
                if criteria.status is None or item.triage.status == criteria.status:
                    yield item
            end = start

    def _triaged(self, records: Sequence[Record]) -> list[Triaged]:
        decided = self._triage.triage([record.offset for record in records])
        return [
            Triaged(
                record.offset,
                msgspec.json.decode(record.value, type=DeadLetter),
                record.timestamp_us,
                decided.get(record.offset)
                or Triage(record.offset, TriageStatus.OPEN, "", "", record.timestamp_us),
                _raw_offset(record),
            )
            for record in records
        ]


_NOTHING: Final = EventResult("accepted", None, None, None, None, ())
"""The result for a change that means no event any more."""


def _refused(verdict: Rejected) -> EventResult:
    return EventResult("rejected", verdict.event_id, verdict.type, None, None, verdict.violations)


def _raw_offset(record: Record) -> int | None:
    """Return where in this log's own raw topic it is kept; that of a stream is elsewhere."""
    text = record.headers.get("raw_offset")
    return None if text is None or "raw_topic" in record.headers else int(text)


def _matches(record: Record, tenant: str, criteria: Criteria) -> bool:
    headers = record.headers
    return (
        headers["tenant"] == tenant
        and criteria.reason in {None, headers["reason"]}
        and criteria.type in {None, headers.get("type")}
        and (criteria.types is None or headers.get("type") in criteria.types)
    )
