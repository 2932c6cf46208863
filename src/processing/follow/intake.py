"""The write path over a stream: judge for the answer, append to raw, see it come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from agentflow.errors import BacklogFullError
from agentflow.events import RawEvent
from agentflow.wording import counted
from ingestion.kafka.records import raw_record
from ingestion.log.port import DEAD_LETTERS, RAW, VALIDATED
from ingestion.log.replica import ReplicaLog
from ingestion.stream.port import RawSender, TopicEnds, partition_name
from processing.definitions import Definitions
from processing.follow.follower import Followed, Follower, FollowProgress
from processing.follow.in_flight import InFlight
from processing.follow.lag import SECOND_US, Lag, Pressure
from processing.follow.visibility import StreamVisibility
from processing.follow.watcher import EndsWatcher
from processing.transformations.dead_letter import letter_identity
from processing.write.applying import Applier
from processing.write.identities import compared, firsts
from processing.write.intake import judge_in_slices
from processing.write.port import IntakeDependencies, StreamState, Visibility
from processing.write.requests import Requests
from processing.write.results import EventResult, taken
from quality.duplicates import id_conflict
from quality.verdict import Accepted, Rejected

HOLE_PATIENCE_US: Final = 1_000_000
"""How long a raw offset may be missing before the broker is asked whether it exists."""


@dataclass(frozen=True, slots=True)
class StreamEnds:
    """Both ends of a stream: where events go in, and how outcomes come back.

    Attributes:
        broker: What the stream is on, as messages name it.
        raw_topic: The broker's name of the raw topic, as tokens have it.
        settled: Whether accounts are complete from the beginning; otherwise once it has caught up.
        follow: Makes the follower, given what applies its effects.
        watch: Makes the watcher, given who is told of ends, and of silence.
    """

    broker: str
    raw_topic: str
    sender: RawSender
    replica: ReplicaLog
    settled: bool
    follow: Callable[[Callable[[Followed], None]], Follower]
    watch: Callable[[Callable[[TopicEnds, int], None], Callable[[int], None]], EndsWatcher]


class StreamIntake:
    """Takes events for a stream and follows what becomes of them. One event loop.

    An event is on the broker's disks when `ingest` returns; it is visible once the token is
    reached. The verdict in the answer is this process's: the job in the stream judges again, by the
    same gate.
    """

    def __init__(
        self, dependencies: IntakeDependencies, ends: StreamEnds, *, pressure: Pressure
    ) -> None:
        self._applier = Applier(
            dependencies.engine, dependencies.changes, dependencies.clock, lost=dependencies.lost
        )
        self._measuring = dependencies.supervisor.activity("stream-lag", "stream")
        self.counts = self._applier.counts
        self.latencies_us = self._applier.latencies_us
        self._visibility = StreamVisibility(dependencies.log.log_id, dependencies.engine)
        self._ends = ends
        self._pressure = pressure
        self._clock = dependencies.clock
        self._requests = Requests(dependencies.clock)
        known_us = _last_known_us(ends.replica)
        self._lag = Lag(since_us=dependencies.clock.now_us() if known_us is None else known_us)
        self._in_flight = InFlight()
        self._sending = 0
        self._unreadable = 0
        self._first_ends: TopicEnds | None = None
        self._heard_ends: TopicEnds | None = None
        self._seen_frontiers: Mapping[str, int] = {}
        self._follower = ends.follow(self._apply)
        self._standing: FollowProgress = self._follower.standing
        self._watcher = ends.watch(self._heard_elsewhere, self._lost_elsewhere)
        self.adopt(dependencies.definitions)

    def adopt(self, definitions: Definitions) -> None:
        """Judge and read by other contracts from now on."""
        self._gate, self._router = definitions.gate, definitions.router
        self._follower.adopt(definitions.registry, definitions.gate)

    # -- life

    async def start(self) -> None:
        """Follow the stream from where the replica ends."""
        self._loop = asyncio.get_running_loop()
        self._stand(self._standing)
        if self._ends.settled:
            self._visibility.settle()
        self._follower.start(self._loop)
        self._watcher.start()

    def resume(self) -> None:
        """Do nothing: the follower shows what is stored and not visible yet."""

    async def close(self) -> None:
        """Let requests under way finish, then stop to follow."""
        async with self._requests.exclusive():
            await asyncio.to_thread(self._ends.sender.close)
            await asyncio.to_thread(self._follower.stop)
            await asyncio.to_thread(self._watcher.stop)

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Let nothing become visible, and no request be judged, while the body runs."""
        async with self._requests.exclusive(), self._follower.exclusive():
            yield

    @property
    def follower(self) -> Follower:
        """What reads the stream."""
        return self._follower

    # -- writing

    async def ingest(self, raws: Sequence[RawEvent]) -> list[EventResult]:
        """Append *raws* to the raw topic and say what will become of each.

        Raises:
            BacklogFullError: The stream is too far behind; nothing was taken.
            UnavailableError: The broker did not take all of them in time; send them again.
        """
        if not raws:
            return []
        async with self._requests.under_way():
            self._require_room()
            self._sending += len(raws)
            try:
                return await self._ingest(raws)
            finally:
                self._sending -= len(raws)

    async def _ingest(self, raws: Sequence[RawEvent]) -> list[EventResult]:
        judged = await judge_in_slices(self._gate, raws)
        contents = [
            self._gate.content(raw, verdict) if isinstance(verdict, Accepted) else b""
            for raw, verdict in zip(raws, judged, strict=True)
        ]
        expected = self._expected(judged, contents)  # before any of them can come back
        keys = [verdict.key if isinstance(verdict, Accepted) else None for verdict in judged]
        taken_us = self._clock.now_us()
        results = self._refused_before(raws, expected)
        sent = [index for index, result in enumerate(results) if result.dead_letter is None]
        records = [raw_record(raws[index], keys[index]) for index in sent]
        stored = await self._ends.sender.send(RAW, records) if records else ()
        for index, at in zip(sent, stored, strict=True):
            verdict, content = judged[index], contents[index]
            name = partition_name(self._ends.raw_topic, at.partition)
            results[index] = replace(results[index], raw=(name, at.offset))
            self._lag.observe({name: at.offset + 1}, at_us=taken_us)
            if isinstance(verdict, Accepted):
                self._in_flight.add(verdict.identity, content, partition=name, offset=at.offset)
        self._stand(self._standing)  # the outcome of some may have been faster than the answer
        return results

    def _refused_before(
        self, raws: Sequence[RawEvent], expected: Sequence[EventResult]
    ) -> list[EventResult]:
        """Return what becomes of events, with the dead letters of those that were refused before.

        These are not sent: the job would make another dead letter of each.
        """
        same = {
            index: letter_identity(raw.tenant, result.violations[0].code, raw.value)
            for index, (raw, result) in enumerate(zip(raws, expected, strict=True))
            if result.status == "rejected"
        }
        known = self._ends.replica.find_identities(list(same.values())) if same else {}
        results = list(expected)
        for index, identity in same.items():
            if (offset := known.get(identity)) is not None:
                results[index] = replace(results[index], dead_letter=offset)
                self.counts["rejected"] += 1
        return results

    def _expected(
        self, judged: Sequence[Accepted | Rejected], contents: Sequence[bytes]
    ) -> list[EventResult]:
        """Return what becomes of events, as far as this process knows."""
        replica = self._ends.replica
        identities = [verdict.identity for verdict in judged if isinstance(verdict, Accepted)]
        offsets = replica.find_identities(identities)
        records = firsts(replica, offsets.values())
        sent: dict[bytes, bytes] = {}
        results = []
        for verdict, content in zip(judged, contents, strict=True):
            if isinstance(verdict, Rejected):
                results.append(_rejected(verdict))
                continue
            identity, offset = verdict.identity, offsets.get(verdict.identity)
            under_way = self._in_flight.content(identity) or sent.get(identity)
            if offset is not None:
                conflicts = compared(verdict, offset, records, self._router).conflict is not None
            else:
                conflicts = under_way is not None and under_way != content
            sent.setdefault(identity, content)
            if conflicts:
                results.append(_rejected(id_conflict(verdict.event)))
                continue
            known = offset is not None or under_way is not None
            results.append(taken(verdict, "duplicate" if known else "accepted", offset))
        return results

    def _require_room(self) -> None:
        behind = self._behind
        seconds = self._pressure.retry_seconds(behind, self._lag.drain.per_second)
        if seconds is not None:
            raise BacklogFullError(
                f"{counted(behind, 'event')} not visible yet, more than intake lets pile up",
                hint=f"Send again in {counted(seconds, 'second')}; slow down if it happens often.",
                retry_seconds=seconds,
            )

    # -- what becomes visible

    def _apply(self, followed: Followed) -> None:
        events = followed.events
        self._applier.apply(
            events,
            received_us=[event.ingested_us for _, event in events],
            counts=followed.counts,
            dead_letters=followed.dead_letters,
        )
        self._unreadable += followed.unreadable
        self._stand(followed.standing)

    def _stand(self, standing: FollowProgress) -> None:
        self._standing = standing
        self._lag.reach(standing.positions)
        self._lag.reach(standing.frontiers)
        self._in_flight.settle(standing.frontiers)
        if self._heard_ends is not None and _reached(self._heard_ends, standing):
            self._follower.judged(self._heard_ends.judged)
            self._heard_ends = None
        first = self._first_ends
        if first is not None and _reached(first, standing):
            self._visibility.settle()
        self._visibility.advance(standing.frontiers)

    def _heard_elsewhere(self, ends: TopicEnds, at_us: int) -> None:
        self._loop.call_soon_threadsafe(self._take_ends, ends, at_us)

    def _lost_elsewhere(self, at_us: int) -> None:
        self._loop.call_soon_threadsafe(lambda: self._lag.lost(at_us=at_us))

    def _take_ends(self, ends: TopicEnds, at_us: int) -> None:
        with self._measuring.guarding():
            self._heard(ends, at_us)

    def _heard(self, ends: TopicEnds, at_us: int) -> None:
        self._first_ends = self._first_ends or ends
        self._heard_ends = self._heard_ends or ends
        self._lag.heard({**ends.followed, **ends.raw}, at_us=at_us)
        standing = self._standing
        self._stand(standing)
        settled = sum(standing.settled.values())
        self._lag.drain.sample(settled, behind=self._behind, at_us=at_us)
        self._suspect(at_us)

    def _suspect(self, now_us: int) -> None:
        """Have the follower ask about raw offsets that did not come since the last look."""
        frontiers, before = self._standing.frontiers, self._seen_frontiers
        self._seen_frontiers = frontiers
        self._follower.suspect(
            [
                (partition, end)
                for partition, end in self._lag.overdue(before_us=now_us - HOLE_PATIENCE_US)
                if partition not in self._standing.positions
                and frontiers.get(partition, 0) == before.get(partition, 0)
            ]
        )

    # -- how far behind

    @property
    def visibility(self) -> Visibility:
        """What is visible, in tokens."""
        return self._visibility

    @property
    def backlog_events(self) -> int:
        """Events taken and not yet durable."""
        return self._sending

    @property
    def waiting_since_us(self) -> int | None:
        """Since when something waits to be visible, or may; None when nothing does."""
        since = (self._lag.waiting_since_us, self._requests.waiting_since_us)
        return min((instant for instant in since if instant is not None), default=None)

    @property
    def _behind(self) -> int:
        """Count what was sent and is not settled, where an account says how much that is."""
        standing, from_start = self._standing, self._ends.settled
        return self._sending + sum(
            max(end - standing.settled.get(partition, 0 if from_start else end), 0)
            for partition, end in self._lag.ends().items()
            if partition not in standing.positions
        )

    @property
    def stream(self) -> StreamState:
        """How far it is with the stream that is followed."""
        since_us = self._lag.waiting_since_us
        ends, positions = self._lag.ends(), self._standing.positions
        wrong = self._watcher.failure
        return StreamState(
            broker=self._ends.broker,
            connected=self._lag.connected,
            raw_events=self._behind,
            unread_events=sum(max(ends.get(t, 0) - at, 0) for t, at in positions.items()),
            seconds=None if since_us is None else (self._clock.now_us() - since_us) / SECOND_US,
            drained_per_second=self._lag.drain.per_second,
            jumped=self._standing.jumped,
            unreadable=self._unreadable,
            paused=self._follower.paused,
            failure=str(wrong) if wrong is not None else self._follower.failure,
            fix=None if wrong is None else wrong.hint,
        )


def _rejected(verdict: Rejected) -> EventResult:
    return EventResult("rejected", verdict.event_id, verdict.type, None, None, verdict.violations)


def _reached(ends: TopicEnds, standing: FollowProgress) -> bool:
    return all(standing.positions.get(topic, 0) >= end for topic, end in ends.followed.items())


def _last_known_us(replica: ReplicaLog) -> int | None:
    """Return when the newest record a replica holds was taken in; None when it is empty."""
    newest = [
        records[-1].timestamp_us
        for topic in (VALIDATED, DEAD_LETTERS)
        if (records := replica.read(topic, start=max(replica.end(topic) - 1, 0), limit=1))
    ]
    return max(newest, default=None)
