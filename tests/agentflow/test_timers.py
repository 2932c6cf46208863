"""The conformance suite of `Timers`: the machine's own, and those of a clock that is advanced."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from threading import Condition, Thread

import pytest

from agentflow.clock import ManualClock
from agentflow.timers import ManualTimers, SystemTimers, Timers


@pytest.fixture(params=[SystemTimers, lambda: ManualTimers(ManualClock(7))], ids=["system", "set"])
def timers(request: pytest.FixtureRequest) -> Timers:
    """Every implementation."""
    made: Timers = request.param()
    return made


def test_seconds_never_go_back(timers: Timers) -> None:
    """Deadlines are computed from them."""
    seconds = [timers.seconds() for _ in range(9)]

    assert seconds == sorted(seconds)


def test_a_time_that_has_come_is_not_waited_for(timers: Timers) -> None:
    """In a thread and on an event loop."""
    condition = Condition()
    with condition:
        timers.wait(condition, timers.seconds())
        timers.wait(condition, timers.seconds() - 1)

    asyncio.run(asyncio.wait_for(timers.sleep(0), 20))


@pytest.mark.parametrize("until", [None, timedelta(days=1)])
def test_a_notice_ends_a_wait(timers: Timers, until: timedelta | None) -> None:
    """What waits for an hour is stopped at once."""
    condition = Condition()
    stopped: list[bool] = []

    def wait() -> None:
        end = None if until is None else timers.seconds() + until.total_seconds()
        with condition:
            while not stopped:
                timers.wait(condition, end)

    thread = Thread(target=wait, daemon=True)
    thread.start()
    with condition:
        stopped.append(True)
        condition.notify_all()
    thread.join(20)

    assert not thread.is_alive()
