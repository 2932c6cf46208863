"""One thread that follows the stream: read, store with the positions, hand over, read on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Event as Flag
from threading import Lock, Thread
from typing import Final

import structlog

from agentflow.contracts import Registry
from agentflow.errors import OffsetLostError, StorageFullError
from agentflow.events import Event
from ingestion.log.port import DEAD_LETTERS, Record
from ingestion.log.replica import Delivery, ReplicaLog, Replicated
from processing.follow.accounting import Accounts, Row
from processing.follow.port import Stream
from processing.follow.unpacking import REMEMBERED_LETTERS, Letters, Unpacked, Unpacker
from quality.gate import Gate

log = structlog.get_logger()

FOLLOWER: Final = "follower"
"""The consumer under whose name a replica stores where it stands in each followed topic."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a follower stands.

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
    standing: Standing


class Follower:
    """Follows with a thread of its own; its effects are applied on an event loop.

    Delivery: each record's effect once, across restarts: positions are stored with it. Memory: one
    handful of records is under way at a time; the thread reads on when the last one is visible.
    """

    def __init__(
        self,
        stream: Stream,
        replica: ReplicaLog,
        accounts: Accounts,
        *,
        positions: Mapping[str, int],
        apply: Callable[[Followed], None],
    ) -> None:
        """Prepare to read on at *positions*; *apply* makes visible, on the event loop."""
        self._stream = stream
        self._replica = replica
        self._accounts = accounts
        self._positions = dict(positions)
        self._apply = apply
        self._letters = Letters()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._suspects: Sequence[tuple[str, int]] = ()
        self._judged: Mapping[str, int] = {}
        self._turn = Lock()
        self._go = Flag()
        self._go.set()
        self._stopping = Flag()
        self._thread = Thread(target=self._run, name="follower", daemon=True)
        self.paused: str | None = None
        self.failure: str | None = None

    def adopt(self, registry: Registry, gate: Gate) -> None:
        """Read by these contracts from now on; before `start`, or while `exclusive`."""
        self._unpacker = Unpacker(registry, gate, self._accounts, self._letters)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin; effects are applied on *loop*."""
        self._loop = loop
        self._thread.start()

    @property
    def standing(self) -> Standing:
        """Where it stands; call it before `start`, later it is in what is handed over."""
        accounts = self._accounts
        return Standing(
            dict(self._positions),
            accounts.frontiers(),
            {place: account.count for place, account in accounts},
            sum(account.jumped for _, account in accounts),
        )

    def suspect(self, places: Sequence[tuple[str, int]]) -> None:
        """Say where raw offsets before an end do not come: perhaps they do not exist."""
        self._suspects = places

    def judged(self, places: Mapping[str, int]) -> None:
        """Say how far the job has come, once all it wrote until then was handed over.

        What is missing before that has an outcome that was deleted, or is not an event.
        """
        self._judged = places

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
        if self._thread.ident is not None:
            self._thread.join()

    # -- in the thread

    def _run(self) -> None:
        try:
            self._remember_letters()
            self._stream.open(self._positions)
            while not self._stopping.is_set():
                records = self._stream.poll()
                if records or self._suspects or self._judged:
                    self._go.wait()
                    with self._turn:
                        self._follow(records)
        except OffsetLostError as error:
            self._fail(f"{error}; a restart rebuilds from the lake")
        except Exception as error:  # supervision: the API goes on and says what is wrong
            log.exception("follower.crashed")
            self._fail(f"{type(error).__name__}: {error}; restart to read on")
        finally:
            self._stream.close()

    def _fail(self, failure: str) -> None:
        self.failure = failure
        log.error("follower.stopped", reason=failure)

    def _remember_letters(self) -> None:
        start = max(self._replica.end(DEAD_LETTERS) - REMEMBERED_LETTERS, 0)
        while records := self._replica.read(DEAD_LETTERS, start=start, limit=2_000):
            self._letters.remember(records)
            start = records[-1].offset + 1

    def _follow(self, records: Sequence[Record]) -> None:
        unpacked = self._unpacker.unpack(records)
        self._positions.update(unpacked.positions)
        moved = self._pass_over_judged() + self._pass_over_suspects()
        if not records and not moved:
            return
        rows: dict[Row, int | None] = {
            (FOLLOWER, topic): offset for topic, offset in unpacked.positions.items()
        }
        rows.update(self._accounts.changes())
        stored = self._replicate(Delivery(unpacked.validated, unpacked.dead_letters, rows))
        if stored is not None:
            self._hand_over(_followed(unpacked, stored, self.standing))

    def _pass_over_judged(self) -> int:
        """Jump over what the job is done with; return how many places moved."""
        judged, self._judged = self._judged, {}
        behind = [
            (place, offset)
            for place, offset in judged.items()
            if (account := self._accounts.get(place)) is None or account.frontier < offset
        ]
        for place, offset in behind:
            self._accounts.jump(place, offset)
        return len(behind)

    def _pass_over_suspects(self) -> int:
        """Ask about offsets that do not come, and jump over those that do not exist."""
        suspects, self._suspects = self._suspects, ()
        jumped = 0
        for place, end in suspects:
            account = self._accounts.get(place)
            frontier = account.frontier if account else 0
            if account is not None and (hole := account.hole) is not None:
                end = min(end, hole.stop)  # noqa: PLW2901 - the first hole, if it is one
            if frontier < end:
                there = self._stream.next_raw(place, frontier, end=end)
                if there is not None and there > frontier:
                    jumped += self._accounts.jump(place, there)
        return jumped

    def _replicate(self, delivery: Delivery) -> Replicated | None:
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


def _followed(unpacked: Unpacked, stored: Replicated, standing: Standing) -> Followed:
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
