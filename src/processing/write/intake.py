"""From raw bytes to accepted, durable and visible: the write path of the embedded platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from agentflow.events import Event, RawEvent
from agentflow.supervision import ended
from ingestion.log.group_commit import GroupCommitter
from ingestion.log.port import (
    Batch,
    Committed,
    DeadLettered,
    Duplicate,
    Outcome,
    Stored,
)
from processing.definitions import Definitions
from processing.runtime.periodic import RETRY_EVERY, recurring
from processing.transformations.routing import Routed
from processing.write.applying import Applier, counted
from processing.write.port import IntakeDependencies, StreamState, Visibility
from processing.write.requests import Requests
from processing.write.results import EventResult, EventStatus, taken
from processing.write.visibility import LogVisibility
from quality.duplicates import id_conflict
from quality.gate import Gate
from quality.verdict import Accepted, Rejected

_JUDGED_AT_ONCE: Final = 256
_TIMED_AT_ONCE: Final = 512


class Intake:
    """Judges, stores and applies events. Everything happens on one event loop.

    An event is durable and visible to every read when `ingest` returns. The gate and the router can
    be exchanged between two calls (contracts change).
    """

    def __init__(self, dependencies: IntakeDependencies) -> None:
        log, engine, changes = dependencies.log, dependencies.engine, dependencies.changes
        self.adopt(dependencies.definitions)
        self._applier = Applier(engine, changes, dependencies.clock, lost=dependencies.lost)
        self.counts = self._applier.counts
        self.latencies_us = self._applier.latencies_us
        self._committer = GroupCommitter(
            log,
            on_committed=self._apply,
            activity=dependencies.supervisor.activity("log-writer", "log"),
        )
        self._supervisor = dependencies.supervisor
        self._retrying: asyncio.Task[None] | None = None
        self._requests = Requests(dependencies.clock)
        self._visibility = LogVisibility(log.log_id, engine)
        changes.subscribe(lambda change: self._visibility.arrived(change.next_offset))

    @property
    def visibility(self) -> Visibility:
        """What is visible, in tokens."""
        return self._visibility

    @property
    def stream(self) -> StreamState | None:
        """None: nothing lies between the log and its readers."""
        return None

    def adopt(self, definitions: Definitions) -> None:
        """Judge by other contracts from now on."""
        self._gate, self._router = definitions.gate, definitions.router

    async def start(self) -> None:
        """Begin to look whether the log can be written again, whenever it could not."""
        self._retrying = recurring(
            self._supervisor, "log-retry", "log", self._committer.retry, every=RETRY_EVERY
        )

    def resume(self) -> None:
        """Take events again: live state holds everything that is stored."""
        self._committer.resume()

    @property
    def backlog_events(self) -> int:
        """Events taken and not yet durable."""
        return self._committer.backlog_events

    @property
    def waiting_since_us(self) -> int | None:
        """When the oldest request that waits to be stored began to wait; None when none does."""
        return self._requests.waiting_since_us

    async def ingest(self, raws: Sequence[RawEvent]) -> list[EventResult]:
        """Judge and store *raws* and make the accepted ones visible.

        Raises:
            StorageError: Nothing of the request was stored.
            UnavailableError: The platform is stopping, or live state is being rebuilt.
        """
        if not raws:
            return []
        async with self._requests.under_way():
            return await self._ingest(raws)

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Let requests under way finish and new ones wait while the body runs."""
        async with self._requests.exclusive():
            yield

    async def _ingest(self, raws: Sequence[RawEvent]) -> list[EventResult]:
        judged = await judge_in_slices(self._gate, raws)
        verdicts = list(map(self._router.route, raws, judged))
        committed = await self._committer.submit(Batch(raws=raws, dispositions=verdicts))
        return [
            _result(verdict, outcome)
            for verdict, outcome in zip(judged, committed.outcomes, strict=True)
        ]

    def _apply(self, batch: Batch, committed: Committed) -> None:
        self._applier.apply(
            list(_stored(batch, committed.outcomes)),
            received_us=[raw.received_us for raw in batch.raws[:_TIMED_AT_ONCE]],
            counts=counted(_STATUS[type(outcome)] for outcome in committed.outcomes),
            dead_letters=committed.dead_letters,
        )

    async def close(self) -> None:
        """Finish what was taken and refuse the rest."""
        if self._retrying is not None:
            await ended([self._retrying])
        await self._committer.close()


async def judge_in_slices(gate: Gate, raws: Sequence[RawEvent]) -> list[Accepted | Rejected]:
    """Judge many events, letting other requests in between."""
    judge = gate.judge
    if len(raws) <= _JUDGED_AT_ONCE:
        return [judge(raw) for raw in raws]
    judged: list[Accepted | Rejected] = []
    for start in range(0, len(raws), _JUDGED_AT_ONCE):
        judged += [judge(raw) for raw in raws[start : start + _JUDGED_AT_ONCE]]
        await asyncio.sleep(0)
    return judged


_STATUS: Mapping[type[Outcome], EventStatus] = {
    Stored: "accepted",
    Duplicate: "duplicate",
    DeadLettered: "rejected",
}


def _stored(batch: Batch, outcomes: Iterable[Outcome]) -> Iterable[tuple[int, Event]]:
    for verdict, outcome in zip(batch.dispositions, outcomes, strict=True):
        if isinstance(outcome, Stored) and isinstance(verdict, Routed) and verdict.event:
            yield outcome.offset, verdict.event


def _result(verdict: Accepted | Rejected, outcome: Outcome) -> EventResult:
    status = _STATUS[type(outcome)]
    if isinstance(verdict, Accepted) and isinstance(outcome, DeadLettered):
        verdict = id_conflict(verdict.event)  # another event has its identity
    if isinstance(verdict, Rejected):
        dead_letter = outcome.offset if isinstance(outcome, DeadLettered) else None
        return EventResult(
            status, verdict.event_id, verdict.type, None, dead_letter, verdict.violations
        )
    offset = outcome.first_offset if isinstance(outcome, Duplicate) else outcome.offset
    return taken(verdict, status, offset)
