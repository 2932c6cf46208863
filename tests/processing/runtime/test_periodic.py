"""Work in the background comes again after each pause, and after a failure."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from threading import Semaphore

from agentflow.clock import ManualClock
from agentflow.supervision import Supervisor, ended
from agentflow.timers import ManualTimers
from processing.runtime.periodic import repeated

HOUR = timedelta(hours=1)


async def until_sleeping(timers: ManualTimers) -> None:
    """Return once the one task sleeps."""
    async with asyncio.timeout(20):
        while timers.sleepers != 1:  # noqa: ASYNC110 - virtual time has no event for it
            await asyncio.sleep(0)


def test_work_is_done_at_once_after_each_pause_and_after_a_failure() -> None:
    """A table that was locked once must not end the expiry of keys."""
    timers = ManualTimers(ManualClock(0))
    supervisor = Supervisor(timers.clock, timers)
    failures = [ValueError("locked")]
    done = Semaphore(0)

    def work() -> None:
        if failures:
            raise failures.pop()
        done.release()

    async def live() -> list[bool]:
        task = repeated(supervisor, "expiry", "control", work, every=HOUR)
        await until_sleeping(timers)  # the pause after a failure
        told = [done.acquire(blocking=False)]
        for _ in range(2):
            timers.advance(HOUR)
            await asyncio.to_thread(done.acquire, timeout=20)
            await until_sleeping(timers)
            told.append(done.acquire(blocking=False))
        await ended([task])
        return told

    assert asyncio.run(live()) == [False, False, False]
    (activity,) = supervisor.statuses()
    assert (activity.name, activity.failures) == ("expiry", 1)
