"""Waiting is an argument, as the time is: what runs in the background sleeps through this."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from threading import Condition, Lock
from typing import Protocol

from agentflow.clock import ManualClock


class Timers(Protocol):
    """How to measure how long something takes, and how to wait. Any thread.

    Conformance: `tests/agentflow/test_timers.py`.
    """

    def seconds(self) -> float:
        """Return the seconds since some moment; they never go back."""
        ...

    def wait(self, condition: Condition, until: float | None) -> None:
        """Wait, holding *condition*, until it is notified or `seconds` has come to *until*.

        May return sooner: look at what was waited for, and at `seconds`, and wait again.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after *seconds*; on an event loop."""
        ...


class SystemTimers:
    """The machine's own."""

    def seconds(self) -> float:
        """Return the machine's monotonic time."""
        return time.monotonic()

    def wait(self, condition: Condition, until: float | None) -> None:
        """Wait in real time."""
        condition.wait(None if until is None else max(until - self.seconds(), 0))

    async def sleep(self, seconds: float) -> None:
        """Sleep in real time."""
        await asyncio.sleep(seconds)


class ManualTimers:
    """Timers of a clock that stands still until told otherwise; for simulations and tests."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self._lock = Lock()
        self._waiting: list[Condition] = []
        self._sleeping: list[tuple[float, asyncio.AbstractEventLoop, asyncio.Event]] = []

    def seconds(self) -> float:
        """Return the seconds that the clock shows."""
        return self.clock.now_us() / 1_000_000

    def wait(self, condition: Condition, until: float | None) -> None:
        """Wait until notified, or until the clock was advanced."""
        with self._lock:
            self._waiting.append(condition)
        try:
            if until is None or self.seconds() < until:
                condition.wait()
        finally:
            with self._lock:
                self._waiting.remove(condition)

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was advanced by *seconds*."""
        due, woken = self.seconds() + seconds, asyncio.Event()
        with self._lock:
            self._sleeping.append((due, asyncio.get_running_loop(), woken))
        if self.seconds() < due:
            await woken.wait()

    @property
    def sleepers(self) -> int:
        """How many tasks sleep."""
        return len(self._sleeping)

    @property
    def waiters(self) -> int:
        """How many threads wait."""
        return len(self._waiting)

    def advance(self, duration: timedelta) -> None:
        """Move the clock forward and wake everything that waits."""
        self.clock.advance(duration)
        now = self.seconds()
        with self._lock:
            waiting = list(self._waiting)
            due = [each for each in self._sleeping if each[0] <= now]
            self._sleeping = [each for each in self._sleeping if each[0] > now]
        for _, loop, woken in due:
            loop.call_soon_threadsafe(woken.set)
        for condition in waiting:
            with condition:
                condition.notify_all()
