"""Whatever dies in the background is noticed, said, counted and started again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from copy import copy
from datetime import timedelta
from itertools import count
from queue import Queue
from threading import Condition
from threading import Event as Signal

import pytest

from agentflow.clock import ManualClock
from agentflow.errors import StorageError
from agentflow.supervision import Supervisor, ended
from agentflow.timers import ManualTimers

START_US = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z
KINDS = [
    ValueError("no field\nwith that name"),
    StorageError("the disk is gone"),
    MemoryError(),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    asyncio.CancelledError(),
    ExceptionGroup("two", [OSError(5, "I/O"), KeyError("x")]),
]


def until(condition: Callable[[], object]) -> None:
    """Wait for another thread, at most 20 seconds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0)


def supervised() -> tuple[Supervisor, ManualTimers]:
    timers = ManualTimers(ManualClock(START_US))
    return Supervisor(timers.clock, timers), timers


@pytest.mark.parametrize("failure", KINDS, ids=lambda each: type(each).__name__)
def test_a_thread_that_raises_anything_is_shown_and_started_again(failure: BaseException) -> None:
    """A type of exception that nobody thought of must not end what everybody relies on."""
    supervisor, timers = supervised()
    turns: Queue[None] = Queue()
    go_on, stop = Signal(), Signal()

    def run() -> None:
        turns.put(None)
        if turns.qsize() == 1:
            raise failure
        go_on.wait(20)
        thread.activity.well()
        stop.wait(20)

    thread = supervisor.thread("worker", "lake", run)
    thread.start()
    until(lambda: supervisor.statuses()[0].state != "well")
    shown = supervisor.statuses()[0]
    until(lambda: timers.waiters)
    timers.advance(timedelta(milliseconds=100))
    until(lambda: turns.qsize() == 2)
    go_on.set()
    until(lambda: supervisor.statuses()[0].state != "failing")
    recovered = supervisor.statuses()[0]
    timers.advance(timedelta(minutes=1))
    stop.set()
    thread.stop()

    assert (shown.name, shown.part, shown.state) == ("worker", "lake", "failing")
    assert shown.reason is not None
    assert shown.reason.startswith(type(failure).__name__)
    assert "\n" not in shown.reason
    assert shown.since_us == START_US
    assert (recovered.state, recovered.failures, recovered.restarts) == ("recovered", 1, 1)
    assert supervisor.statuses()[0].state == "well"


@pytest.mark.parametrize("failure", KINDS, ids=lambda each: type(each).__name__)
def test_a_task_that_raises_anything_is_shown_and_started_again(failure: BaseException) -> None:
    """A task nobody awaits would keep its failure to itself for as long as the process runs."""
    supervisor, timers = supervised()
    turns = 0

    async def run() -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            raise failure
        supervisor.activity("saver", "live").well()
        await asyncio.Event().wait()

    async def live() -> tuple[str, str]:
        task = supervisor.task("saver", "live", run)
        async with asyncio.timeout(20):
            while not timers.sleepers:  # noqa: ASYNC110 - the loop itself makes it true
                await asyncio.sleep(0)
        failed = supervisor.statuses()[0].state
        timers.advance(timedelta(milliseconds=100))
        async with asyncio.timeout(20):
            while turns < 2:  # noqa: ASYNC110 - the loop itself makes it true
                await asyncio.sleep(0)
        again = supervisor.statuses()[0].state
        await ended([task])
        return failed, again

    with asyncio.Runner() as runner:
        assert runner.run(live()) == ("failing", "recovered")


class Hurried(ManualTimers):
    """Nothing waits; how long it would have is noted."""

    def __init__(self) -> None:
        super().__init__(ManualClock(START_US))
        self.pauses: list[float] = []

    def wait(self, condition: Condition, until: float | None) -> None:
        del condition
        assert until is not None
        self.pauses.append(round(until - self.seconds(), 1))
        self.advance(timedelta(seconds=until - self.seconds()))


def test_pauses_between_starts_grow_to_half_a_minute() -> None:
    """What cannot run must not fill the log, nor take the processor from what can."""
    timers = Hurried()
    supervisor = Supervisor(timers.clock, timers)
    starts = count()

    def run() -> None:
        if next(starts) < 12:
            raise OSError("away")

    thread = supervisor.thread("worker", "lake", run)
    thread.start()
    until(lambda: next(copy(starts)) == 13)
    thread.stop()

    assert timers.pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30, 30]


def test_a_thread_that_waits_for_its_next_start_can_be_stopped() -> None:
    """Stopping the platform must not wait for what is broken."""
    supervisor, _ = supervised()
    failed = Signal()

    def run() -> None:
        failed.set()
        raise OSError("away")

    thread = supervisor.thread("worker", "lake", run)
    thread.start()
    assert failed.wait(20)

    thread.stop()

    assert supervisor.statuses()[0].restarts == 0
