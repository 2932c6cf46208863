"""Group commit: many submitters, one writer, one order."""

from __future__ import annotations

import asyncio
from threading import Event
from typing import TYPE_CHECKING

import pytest

from agentflow.errors import StorageFullError, UnavailableError
from ingestion.log.group_commit import GroupCommitter
from ingestion.log.port import RAW, VALIDATED, Batch, CommitLog, Committed, Stored
from tests.fakes.memory_log import MemoryLog

if TYPE_CHECKING:
    from tests.ingestion.log.conftest import Make


class HeldLog(MemoryLog):
    """A log whose commits wait until the test lets them go, and fail when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = Event()
        self.batches: list[int] = []
        self.failure: Exception | None = None

    def commit(self, batch: Batch) -> Committed:
        assert self.go.wait(10)
        self.batches.append(len(batch.raws))
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return super().commit(batch)


def test_submitters_get_their_own_part(log: CommitLog, make: Make) -> None:
    """Each request answers for its own events, whoever shared the fsync."""

    async def scenario() -> list[Committed]:
        committer = GroupCommitter(log)
        batches = [
            make.batch(make.accept("a"), make.reject()),
            make.accepts("b", "a"),
            make.batch(),
            make.batch(make.reject(), make.accept("c")),
        ]
        parts = await asyncio.gather(*(committer.submit(batch) for batch in batches))
        await committer.close()
        return parts

    first, second, third, fourth = asyncio.run(scenario())

    assert (first.raw, first.validated, first.dead_letters) == (range(2), range(1), range(1))
    assert (second.raw, second.validated) == (range(2, 4), range(1, 2))
    assert [type(outcome).__name__ for outcome in second.outcomes] == ["Stored", "Duplicate"]
    assert (third.outcomes, third.raw) == ([], range(4, 4))
    assert (fourth.validated, fourth.dead_letters) == (range(2, 3), range(1, 2))


def test_what_arrives_during_a_commit_goes_into_the_next_one(make: Make) -> None:
    """One fsync serves all that waited for it: two commits for a hundred requests."""
    log = HeldLog()

    async def scenario() -> None:
        committer = GroupCommitter(log)
        first = asyncio.create_task(committer.submit(make.accepts("first")))
        await asyncio.sleep(0)
        rest = [asyncio.create_task(committer.submit(make.accepts(n))) for n in range(99)]
        await asyncio.sleep(0)
        assert committer.backlog_events == 100
        log.go.set()
        await asyncio.gather(first, *rest)
        assert committer.backlog_events == 0
        await committer.close()

    asyncio.run(scenario())

    assert log.batches == [1, 99]


def test_a_group_stays_within_its_bounds(make: Make) -> None:
    """Latency and memory of one commit are bounded, whatever the backlog; order stays."""
    log = HeldLog()

    async def scenario() -> None:
        committer = GroupCommitter(log, max_events=10, max_bytes=10_000)
        tasks = [
            asyncio.create_task(committer.submit(make.accepts(*range(start, start + 4))))
            for start in range(0, 24, 4)
        ]
        tasks.append(asyncio.create_task(committer.submit(make.accepts(*range(100, 150)))))
        await asyncio.sleep(0)
        log.go.set()
        await asyncio.gather(*tasks)
        await committer.close()

    asyncio.run(scenario())

    assert log.batches == [8, 8, 8, 50]
    values = [record.value for record in log.read(VALIDATED, start=0, limit=99)]
    assert values == [b"value of %d" % n for n in [*range(24), *range(100, 150)]]


def test_state_hears_of_a_commit_before_its_submitters(make: Make) -> None:
    """Who has a token must find the state that it stands for."""
    log, heard = MemoryLog(), list[str]()

    async def scenario() -> None:
        def applied(_: Batch, committed: Committed) -> None:
            heard.append(f"state {committed.validated.stop}")

        async def request(name: str) -> None:
            part = await committer.submit(make.accepts(name))
            heard.append(f"answer {part.validated.stop}")

        committer = GroupCommitter(log, on_committed=applied)
        await request("a")
        await asyncio.gather(request("b"), request("c"))
        await committer.close()

    asyncio.run(scenario())

    assert heard == ["state 1", "answer 1", "state 3", "answer 2", "answer 3"]


def test_a_failed_commit_reaches_exactly_its_submitters(make: Make) -> None:
    """A full disk fails the requests it hit; the next ones work."""
    log = HeldLog()
    log.failure = StorageFullError("full")
    log.go.set()

    async def scenario() -> list[Committed | BaseException]:
        committer = GroupCommitter(log)
        refused = await asyncio.gather(
            *(committer.submit(make.accepts(n)) for n in range(3)), return_exceptions=True
        )
        accepted = await committer.submit(make.accepts("after"))
        await committer.close()
        return [*refused, accepted]

    *refused, accepted = asyncio.run(scenario())

    assert [type(answer) for answer in refused] == [StorageFullError] * 3
    assert isinstance(accepted, Committed)
    assert accepted.outcomes == [Stored(0, 0)]


def test_a_submitter_that_gives_up_leaves_its_events(make: Make) -> None:
    """A client that hangs up has still sent; nobody else notices."""
    log = HeldLog()

    async def scenario() -> Committed:
        committer = GroupCommitter(log)
        leaving = asyncio.create_task(committer.submit(make.accepts("a")))
        staying = asyncio.create_task(committer.submit(make.accepts("b")))
        await asyncio.sleep(0)
        leaving.cancel()
        log.go.set()
        part = await staying
        await committer.close()
        return part

    part = asyncio.run(scenario())

    assert part.outcomes == [Stored(1, 1)]
    assert log.end(RAW) == 2


def test_state_that_cannot_follow_stops_the_intake(make: Make) -> None:
    """Answers computed from a state that missed a batch would be wrong in silence."""
    log = MemoryLog()

    def breaks(_: Batch, __: Committed) -> None:
        raise LookupError("engine")

    async def scenario() -> None:
        committer = GroupCommitter(log, on_committed=breaks)
        with pytest.raises(LookupError):
            await committer.submit(make.accepts("a"))
        with pytest.raises(UnavailableError):
            await committer.submit(make.accepts("b"))
        await committer.close()

    asyncio.run(scenario())

    assert log.end(VALIDATED) == 1


def test_closing_finishes_what_was_submitted(make: Make) -> None:
    """Shutdown loses nothing and takes nothing new."""
    log = HeldLog()

    async def scenario() -> None:
        committer = GroupCommitter(log)
        waiting = asyncio.create_task(committer.submit(make.accepts("a")))
        await asyncio.sleep(0)
        closing = asyncio.create_task(committer.close())
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError):
            await committer.submit(make.accepts("b"))
        log.go.set()
        await closing
        assert (await waiting).outcomes == [Stored(0, 0)]

    asyncio.run(scenario())
