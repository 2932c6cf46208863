"""From raw bytes to accepted, durable and visible: the write path of the embedded platform."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Literal

from agentflow.clock import Clock
from agentflow.events import Event, RawEvent
from ingestion.log.group_commit import GroupCommitter
from ingestion.log.port import (
    Batch,
    CommitLog,
    Committed,
    DeadLettered,
    Duplicate,
    Outcome,
    Stored,
)
from processing.changes import Change, ChangeFeed
from processing.live import LiveEngine
from processing.transformations.routing import Routed, Router
from quality.gate import Gate
from quality.verdict import Accepted, Rejected, Violation

_JUDGED_AT_ONCE = 256
_LATENCIES_KEPT = 4_096


@dataclass(frozen=True, slots=True)
class EventResult:
    """What became of one event.

    Attributes:
        offset: Its place in `validated`; for a duplicate, where it was first accepted.
        dead_letter: Its place in `dead_letters`, when it was rejected.
        violations: Why it was rejected, or what the contract warns of.
    """

    status: Literal["accepted", "duplicate", "rejected"]
    id: str | None
    type: str | None
    offset: int | None
    dead_letter: int | None
    violations: tuple[Violation, ...]


class Intake:
    """Judges, stores and applies events. Everything happens on one event loop.

    An event is durable and visible to every read when `ingest` returns. The gate and the router can
    be exchanged between two calls (contracts change).
    """

    def __init__(
        self,
        *,
        gate: Gate,
        router: Router,
        engine: LiveEngine,
        log: CommitLog,
        changes: ChangeFeed,
        clock: Clock,
    ) -> None:
        self.gate = gate
        self.router = router
        self.engine = engine
        self.latencies_us: deque[int] = deque(maxlen=_LATENCIES_KEPT)
        self.counts = {"accepted": 0, "duplicate": 0, "rejected": 0}
        self._changes = changes
        self._clock = clock
        self._committer = GroupCommitter(log, on_committed=self._apply)
        self._waiting: dict[int, int] = {}
        self._requests = count()
        self._open = asyncio.Event()
        self._open.set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def backlog_events(self) -> int:
        """Events taken and not yet durable."""
        return self._committer.backlog_events

    @property
    def waiting_since_us(self) -> int | None:
        """When the oldest request that waits to be stored began to wait; None when none does."""
        return next(iter(self._waiting.values()), None)

    async def ingest(self, raws: Sequence[RawEvent]) -> list[EventResult]:
        """Judge and store *raws* and make the accepted ones visible.

        Raises:
            StorageError: Nothing of the request was stored.
            UnavailableError: The platform is stopping.
        """
        if not raws:
            return []
        await self._open.wait()
        request = next(self._requests)
        self._waiting[request] = self._clock.now_us()
        self._idle.clear()
        try:
            return await self._ingest(raws)
        finally:
            del self._waiting[request]
            if not self._waiting:
                self._idle.set()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Let requests under way finish and new ones wait while the body runs."""
        self._open.clear()
        try:
            await self._idle.wait()
            yield
        finally:
            self._open.set()

    async def _ingest(self, raws: Sequence[RawEvent]) -> list[EventResult]:
        judged = await self._judge(raws)
        verdicts = list(map(self.router.route, raws, judged))
        committed = await self._committer.submit(Batch(raws=raws, verdicts=verdicts))
        return [
            _result(verdict, outcome)
            for verdict, outcome in zip(judged, committed.outcomes, strict=True)
        ]

    async def _judge(self, raws: Sequence[RawEvent]) -> list[Accepted | Rejected]:
        """Judge in slices, letting other requests in between."""
        judge = self.gate.judge
        if len(raws) <= _JUDGED_AT_ONCE:
            return [judge(raw) for raw in raws]
        judged: list[Accepted | Rejected] = []
        for start in range(0, len(raws), _JUDGED_AT_ONCE):
            judged += [judge(raw) for raw in raws[start : start + _JUDGED_AT_ONCE]]
            await asyncio.sleep(0)
        return judged

    def _apply(self, batch: Batch, committed: Committed) -> None:
        now_us = self._clock.now_us()
        events = list(_stored(batch, committed.outcomes))
        moved = self.engine.apply(events, now_us=now_us)
        for raw in batch.raws[: _LATENCIES_KEPT // 8]:
            self.latencies_us.append(now_us - raw.received_us)
        for outcome in committed.outcomes:
            self.counts[_STATUS[type(outcome)]] += 1
        self._changes.publish(
            Change(
                next_offset=self.engine.next_offset,
                moved=moved,
                events=events,
                dead_letters=committed.dead_letters,
            )
        )

    async def close(self) -> None:
        """Finish what was taken and refuse the rest."""
        await self._committer.close()


_STATUS: dict[type[Outcome], Literal["accepted", "duplicate", "rejected"]] = {
    Stored: "accepted",
    Duplicate: "duplicate",
    DeadLettered: "rejected",
}


def _stored(batch: Batch, outcomes: Iterable[Outcome]) -> Iterable[tuple[int, Event]]:
    for verdict, outcome in zip(batch.verdicts, outcomes, strict=True):
        if isinstance(outcome, Stored) and isinstance(verdict, Routed) and verdict.event:
            yield outcome.offset, verdict.event


def _result(verdict: Accepted | Rejected, outcome: Outcome) -> EventResult:
    status = _STATUS[type(outcome)]
    if isinstance(verdict, Rejected):
        dead_letter = outcome.offset if isinstance(outcome, DeadLettered) else None
        return EventResult(
            status, verdict.event_id, verdict.type, None, dead_letter, verdict.violations
        )
    event = verdict.event
    offset = outcome.first_offset if isinstance(outcome, Duplicate) else outcome.offset
    return EventResult(status, event.id, event.type, offset, None, verdict.warnings)
