"""One thread that follows the stream: read, store with the positions, hand over, read on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Event as Flag
from threading import Lock
from typing import Final

import structlog

from agentflow.contracts import Registry
from agentflow.errors import OffsetLostError, StorageFullError
from agentflow.events import Event
from agentflow.supervision import Supervisor
from ingestion.log.port import DEAD_LETTERS, VALIDATED, Record
from ingestion.log.replica import ReplicaBatch, ReplicaLog, Replicated
from ingestion.stream.port import Stream
from processing.follow.accounting import AccountRow, Accounts
from processing.follow.unpacking import REMEMBERED_LETTERS, Letters, Unpacked, Unpacker
from processing.live.groups import decoded
from quality.gate import Gate

log = structlog.get_logger()

_AT_ONCE: Final = 2_000

FOLLOWER: Final = "follower"
"""The consumer under whose name a replica stores where it stands in each followed topic."""


@dataclass(frozen=True, slots=True)
class FollowProgress:
    """How far a follower has come.

    Attributes:
        positions: The next offset of each followed topic.
        frontiers: Where raw partitions are accounted for without a gap.
        settled: How many raw offsets of each partition are.
    """

    positions: Mapping[str, int]
    frontiers: Mapping[str, int]
    settled: Mapping[str, int]
    jumped: int


@dataclass(frozen=True, slots=True)
class Followed:
    """A handful of records, stored; what is left is to make them visible."""

    events: Sequence[tuple[int, Event]]
    dead_letters: range
    counts: Mapping[str, int]
    unreadable: int
    standing: FollowProgress


class Follower:
    """Follows with a thread of its own; its effects are applied on an event loop.

    Delivery: each record's effect once, across restarts: positions are stored with it. Memory: one
    handful of records is under way at a time; the thread reads on when the last one is visible.
    """

    def __init__(
        self,
        stream: Stream,
        replica: ReplicaLog,
        *,
        stand: Callable[[], tuple[Mapping[str, int], Accounts]],
        apply: Callable[[Followed], None],
        bridge: Callable[[], None],
        supervisor: Supervisor | None = None,
    ) -> None:
        """Prepare to read on where the replica stands.

        Args:
            stream: What is followed.
            replica: Where it is stored.
            stand: Returns the positions and accounts that the replica has stored.
            apply: Makes visible, on the event loop.
            bridge: Brings the replica to where the stream can be read on; blocks.
            supervisor: What starts the thread again, whatever ends it.
        """
        self._stream = stream
        self._replica = replica
        self._stand = stand
        self._take_stand()
        self._shown = {topic: replica.end(topic) for topic in (VALIDATED, DEAD_LETTERS)}
        self._apply = apply
        self._bridge = bridge
        self._passed_by = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._suspects: Sequence[tuple[str, int]] = ()
        self._judged: Mapping[str, int] = {}
        self._turn = Lock()
        self._go = Flag()
        self._go.set()
        self._stopping = Flag()
        self._begun = False
        supervisor = supervisor or Supervisor()
        self._thread = supervisor.thread("stream-follower", "stream", self._run)
        self.paused: str | None = None

    def _take_stand(self) -> None:
        positions, accounts = self._stand()
        self._positions, self._accounts, self._letters = dict(positions), accounts, Letters()

    def adopt(self, registry: Registry, gate: Gate) -> None:
        """Read by these contracts from now on; before `start`, or while `exclusive`."""
        self._contracts = registry, gate
        self._unpacker = Unpacker(registry, gate, self._accounts, self._letters)

    @property
    def failure(self) -> str | None:
        """Why nothing is read; reading begins again by itself."""
        standing = self._thread.activity.status
        return standing.detail if standing.state == "failing" else None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin; effects are applied on *loop*."""
        self._loop = loop
        self._thread.start()

    @property
    def standing(self) -> FollowProgress:
        """How far it has come; call it before `start`, later it is in what is handed over."""
        accounts = self._accounts
        return FollowProgress(
            dict(self._positions),
            accounts.frontiers(),
            {partition: account.count for partition, account in accounts},
            sum(account.jumped for _, account in accounts),
        )

    def suspect(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Say where raw offsets before an end do not come: perhaps they do not exist."""
        self._suspects = partitions

    def judged(self, partitions: Mapping[str, int]) -> None:
        """Say how far the job has come, once all it wrote until then was handed over.

        What is missing before that has an outcome that was deleted, or is not an event.
        """
        self._judged = partitions

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Let what is under way become visible, and nothing more while the body runs."""
        self._go.clear()
        await asyncio.to_thread(self._turn.acquire)
        try:
            yield
        finally:
            self._turn.release()
            self._go.set()

    def stop(self) -> None:
        """Finish what is under way and end; blocks, so not on the event loop."""
        self._stopping.set()
        self._go.set()
        self._thread.stop()
        self._stream.close()

    # -- in the thread

    def _run(self) -> None:
        if self._begun:
            self._begin_again()
        self._begun = True
        self._remember_letters()
        self._stream.open(self._positions)
        while not self._stopping.is_set():
            records = self._poll()
            if records or self._suspects or self._judged:
                self._go.wait()
                with self._turn:
                    self._follow(records)
            self._thread.activity.well()

    def _poll(self) -> Sequence[Record]:
        try:
            return self._stream.poll()
        except OffsetLostError as error:
            self._passed_by = True
            raise OffsetLostError(f"{error}; what is missing is taken from the lake") from error

    def _begin_again(self) -> None:
        """Go back to what is stored, whatever was under way, and show what is not visible yet."""
        self._go.wait()
        with self._turn:
            if self.paused is not None:
                self._resume()
            if self._passed_by:
                self._bridge()
                self._passed_by = False
            self._take_stand()
            self.adopt(*self._contracts)
            if not self._stopping.is_set():
                self._hand_over(self._stored_unseen())

    def _stored_unseen(self) -> Followed:
        """Return what was stored and not handed over before a failure."""
        gate = self._contracts[1]
        start, letters = self._shown[VALIDATED], self._shown[DEAD_LETTERS]
        events: list[tuple[int, Event]] = []
        records = 0
        while found := self._replica.read(VALIDATED, start=start, limit=_AT_ONCE):
            events += decoded(found, gate)
            records, start = records + len(found), found[-1].offset + 1
        end = self._replica.end(DEAD_LETTERS)
        return Followed(
            events=events,
            dead_letters=range(letters, end),
            counts={"accepted": records, "rejected": end - letters, "duplicate": 0},
            unreadable=0,
            standing=self.standing,
        )

    def _remember_letters(self) -> None:
        start = max(self._replica.end(DEAD_LETTERS) - REMEMBERED_LETTERS, 0)
        while records := self._replica.read(DEAD_LETTERS, start=start, limit=_AT_ONCE):
            self._letters.remember(records)
            start = records[-1].offset + 1

    def _follow(self, records: Sequence[Record]) -> None:
        unpacked = self._unpacker.unpack(records)
        self._positions.update(unpacked.positions)
        moved = self._pass_over_judged() + self._pass_over_suspects()
        if not records and not moved:
            return
        rows: dict[AccountRow, int | None] = {
            (FOLLOWER, topic): offset for topic, offset in unpacked.positions.items()
        }
        rows.update(self._accounts.changes())
        stored = self._replicate(ReplicaBatch(unpacked.validated, unpacked.dead_letters, rows))
        if stored is not None:
            self._replica.remember(unpacked.letters)
            self._hand_over(_followed(unpacked, stored, self.standing))

    def _pass_over_judged(self) -> int:
        """Jump over what the job is done with; return how many partitions moved."""
        judged, self._judged = self._judged, {}
        behind = [
            (partition, offset)
            for partition, offset in judged.items()
            if (account := self._accounts.get(partition)) is None or account.frontier < offset
        ]
        for partition, offset in behind:
            self._accounts.jump(partition, offset)
        return len(behind)

    def _pass_over_suspects(self) -> int:
        """Ask about offsets that do not come, and jump over those that do not exist."""
        suspects, self._suspects = self._suspects, ()
        jumped = 0
        for partition, end in suspects:
            account = self._accounts.get(partition)
            frontier = account.frontier if account else 0
            if account is not None and (hole := account.hole) is not None:
                end = min(end, hole.stop)  # noqa: PLW2901 - the first hole, if it is one
            if frontier < end:
                there = self._stream.next_raw(partition, frontier, end=end)
                if there is not None and there > frontier:
                    jumped += self._accounts.jump(partition, there)
        return jumped

    def _replicate(self, delivery: ReplicaBatch) -> Replicated | None:
        """Store a delivery; waits while the disk is full. None when it is to stop meanwhile."""
        while not self._stopping.is_set():
            try:
                stored = self._replica.replicate(delivery)
            except StorageFullError as error:
                self._pause(str(error))
                self._stream.poll()  # paused: it waits, and keeps the connection
            else:
                self._resume()
                return stored
        return None

    def _pause(self, reason: str) -> None:
        if self.paused is None:
            log.warning("follower.paused", reason=reason)
            self._stream.pause()
        self.paused = reason

    def _resume(self) -> None:
        if self.paused is not None:
            log.info("follower.resumed")
            self.paused = None
            self._stream.resume()

    def _hand_over(self, followed: Followed) -> None:
        """Have it applied on the event loop, and wait for that."""
        assert self._loop is not None  # noqa: S101 - the thread runs after `start`
        applied: Future[None] = Future()

        def apply() -> None:
            try:
                self._apply(followed)
            except BaseException as error:  # noqa: BLE001 - it belongs to the thread
                applied.set_exception(error)
            else:
                applied.set_result(None)

        self._loop.call_soon_threadsafe(apply)
        applied.result()
        self._shown = {topic: self._replica.end(topic) for topic in (VALIDATED, DEAD_LETTERS)}


def _followed(unpacked: Unpacked, stored: Replicated, standing: FollowProgress) -> Followed:
    new = {item.offset for item in stored.validated}
    letters = stored.dead_letters
    return Followed(
        events=[pair for pair in unpacked.events if pair[0] in new],
        dead_letters=range(letters[0].offset, letters[-1].offset + 1) if letters else range(0),
        counts={
            "accepted": len(stored.validated),
            "rejected": len(letters),
            "duplicate": unpacked.duplicates,
        },
        unreadable=unpacked.unreadable,
        standing=standing,
    )
