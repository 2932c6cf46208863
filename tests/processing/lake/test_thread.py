"""The writer's thread is pushed, never polls, and says what is wrong."""

from __future__ import annotations

from datetime import timedelta
from threading import Event as Signal

import pytest

from agentflow.errors import StorageError, StorageFullError
from agentflow.supervision import Supervisor
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.lake import Lake, LakeThread, LakeWriter, Positions
from processing.lake.housekeeping import Housekeeping
from quality import Gate
from tests.fakes.memory_log import MemoryLog
from tests.processing.lake.conftest import Publish, order

NEVER = timedelta(days=1)
SOON = timedelta(seconds=20)


def ends(log: MemoryLog) -> Positions:
    return Positions(log.end(VALIDATED), log.end(DEAD_LETTERS))


def test_a_flush_waits_until_the_lake_has_it(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """`explain=full` recomputes from the lake alone: it must be able to bring it up to date."""
    thread = LakeThread(LakeWriter(lake, log, gate), interval=NEVER)
    thread.start()
    publish([order(1), order(2)])
    thread.notify(ends(log))

    reached = thread.flush(ends(log), timeout=SOON)

    assert reached
    assert thread.covered == Positions(2, 0)
    thread.close()


def test_closing_writes_what_is_left(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """A clean stop leaves nothing for the next start to catch up with."""
    thread = LakeThread(LakeWriter(lake, log, gate), interval=NEVER)
    thread.start()
    publish([order(1)])
    thread.notify(ends(log))

    thread.close()

    assert thread.covered == Positions(1, 0)


class ScriptedWriter:
    """A writer that fails as often as it is told, then covers all it is asked for."""

    def __init__(self, *failures: Exception) -> None:
        self.covered = Positions()
        self.goals: list[Positions] = []
        self.wrote = Signal()
        self._failures = list(failures)

    def write_up_to(self, goal: Positions) -> Positions:
        self.goals.append(goal)
        if self._failures:
            raise self._failures.pop(0)
        self.covered = self.covered.joined(goal)
        self.wrote.set()
        return self.covered


def running(writer: ScriptedWriter, *, interval: timedelta, batch_events: int = 10) -> LakeThread:
    thread = LakeThread(
        writer,  # type: ignore[arg-type]
        interval=interval,
        batch_events=batch_events,
    )
    thread.start()
    return thread


def test_a_full_batch_does_not_wait_for_the_interval() -> None:
    """Under load, batches are bounded by count, so that memory is."""
    writer = ScriptedWriter()
    thread = running(writer, interval=NEVER)

    thread.notify(Positions(9, 0))
    quiet = not writer.wrote.is_set()
    thread.notify(Positions(10, 0))

    assert writer.wrote.wait(20)
    assert quiet
    thread.close(flush=False)
    assert writer.goals == [Positions(10, 0)]


def test_few_events_are_written_at_the_interval() -> None:
    """Events of a quiet hour reach the lake as well."""
    writer = ScriptedWriter()
    thread = running(writer, interval=timedelta(milliseconds=5))

    thread.notify(Positions(1, 0))

    assert writer.wrote.wait(20)
    thread.close(flush=False)


def test_a_full_disk_is_reported_and_tried_again() -> None:
    """The log keeps what the lake lacks; when there is space again nobody has to do anything."""
    writer = ScriptedWriter(StorageFullError("the disk is full"))
    thread = running(writer, interval=timedelta(milliseconds=500))

    with pytest.raises(StorageError, match="full"):
        thread.flush(Positions(3, 0), timeout=SOON)
    readable = thread.readable
    recovered = writer.wrote.wait(20)
    thread.flush(Positions(3, 0), timeout=SOON)
    thread.close()

    assert readable  # what fails here is writing
    assert recovered
    assert thread.failure is None


def test_a_flush_gives_up_at_its_timeout() -> None:
    """A caller with a deadline gets an answer, even when the lake does not move."""
    release = Signal()

    class SlowWriter(ScriptedWriter):
        def write_up_to(self, goal: Positions) -> Positions:
            release.wait(20)
            return super().write_up_to(goal)

    thread = running(SlowWriter(), interval=NEVER)

    reached = thread.flush(Positions(1, 0), timeout=timedelta(milliseconds=10))

    assert not reached
    release.set()
    thread.close()


def test_maintenance_runs_between_batches(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """Small files are merged by the thread that makes them, so that the two never conflict."""
    maintained = Signal()
    thread = LakeThread(
        LakeWriter(lake, log, gate),
        interval=timedelta(0),
        housekeeping=Housekeeping(Supervisor(), maintain=maintained.set, every=timedelta(0)),
    )
    thread.start()
    publish([order(1)])

    thread.notify(ends(log))

    assert maintained.wait(SOON.total_seconds())
    thread.close()


@pytest.mark.parametrize(
    "failure",
    [StorageError("others commit"), ValueError("no such field"), MemoryError(), SystemExit(1)],
    ids=repr,
)
def test_a_maintenance_that_fails_ends_nothing(failure: BaseException) -> None:
    """A lake that grows is a nuisance; a lake that stands still makes every proof impossible."""
    maintained = Signal()

    def maintain() -> None:
        maintained.set()
        raise failure

    writer = ScriptedWriter()
    supervisor = Supervisor()
    thread = LakeThread(
        writer,  # type: ignore[arg-type]
        interval=NEVER,
        housekeeping=Housekeeping(supervisor, maintain=maintain, every=timedelta(0)),
        supervisor=supervisor,
    )
    thread.start()
    first = thread.flush(Positions(1, 0), timeout=SOON)
    failed = maintained.wait(SOON.total_seconds())

    second = thread.flush(Positions(2, 0), timeout=SOON)

    thread.close()
    failures = {each.name: each.failures for each in supervisor.statuses()}
    assert (first, failed, second) == (True, True, True)
    assert failures["lake-writer"] == 0
    assert failures["lake-maintenance"] > 0
