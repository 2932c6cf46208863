"""Dead letters: what was refused, why, and how it is fixed and sent again."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from agentflow.clock import Clock
from agentflow.errors import NotFoundError, ParameterError
from agentflow.events import RawEvent
from ingestion.control.port import Triage, TriageStatus, TriageStore
from ingestion.log.port import DEAD_LETTERS, RAW, CommitLog, Record
from processing.intake import EventResult
from processing.pointers import edited
from processing.transformations.dead_letter import DeadLetter

_READ_AT_ONCE = 256
Ingest = Callable[[Sequence[RawEvent]], Awaitable[list[EventResult]]]


@dataclass(frozen=True, slots=True)
class Triaged:
    """A dead letter and where it stands."""

    offset: int
    letter: DeadLetter
    received_us: int
    triage: Triage


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which dead letters are meant; None means any."""

    reason: str | None = None
    type: str | None = None
    status: TriageStatus | None = None


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

    A replay keeps the event's id: an event that was meanwhile accepted counts once all the same.
    """

    def __init__(
        self, log: CommitLog, triage: TriageStore, ingest: Ingest, *, clock: Clock
    ) -> None:
        self._log = log
        self._triage = triage
        self._ingest = ingest
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
            ParameterError: It is no JSON object, so that only a whole event can replace it.
        """
        item = self.get(tenant, offset)
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
        item = self.get(tenant, offset)
        value = item.triage.fixed_value or self._raw(item)
        return await self._send(item, value, status=item.triage.status, who=who, note="")

    async def replay_all(
        self, tenant: str, criteria: Criteria, *, who: str, limit: int = 10_000
    ) -> list[tuple[int, EventResult]]:
        """Send every matching dead letter that is not replayed or discarded again, oldest first."""
        closed = {TriageStatus.REPLAYED, TriageStatus.DISCARDED}
        items = [
            item
            for item in self._newest_first(tenant, criteria, None)
            if item.triage.status not in closed
        ][:limit]
        return [
            (item.offset, await self.replay(tenant, item.offset, who=who))
            for item in reversed(items)
        ]

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
        now_us = self._clock.now_us()
        original = self._raw(item)
        # lateness is judged by when the event first arrived: triage may take weeks
        raw = RawEvent(value, item.letter.tenant, item.received_us)
        (result,) = await self._ingest([raw])
        refused = result.status == "rejected"
        self._triage.decide(
            Triage(
                offset=item.offset,
                status=status if refused else TriageStatus.REPLAYED,
                note=note,
                who=who,
                decided_us=now_us,
                replayed_as=None if refused else result.offset,
                fixed_value=value if value != original else None,
            )
        )
        return result

    def _raw(self, item: Triaged) -> bytes:
        letter = item.letter
        held = len(letter.raw.encode()) if letter.raw is not None else None
        if letter.raw is not None and held == letter.size_bytes:
            return letter.raw.encode()
        if letter.raw_base64 is not None:
            value = b64decode(letter.raw_base64)
            if len(value) == letter.size_bytes:
                return value
        raise ParameterError(
            f"dead letter {item.offset} was cut off at {held} of {letter.size_bytes} bytes",
            hint=f"Fix it with a whole event; the {RAW} topic holds all that arrived.",
        )

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
            )
            for record in records
        ]


def _matches(record: Record, tenant: str, criteria: Criteria) -> bool:
    headers = record.headers
    return (
        headers["tenant"] == tenant
        and criteria.reason in {None, headers["reason"]}
        and criteria.type in {None, headers.get("type")}
    )
