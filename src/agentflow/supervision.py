"""What runs in the background: noticed when it dies, said, counted and started again.

One place knows of every background thread and task. Whatever one of them raises, of any
type, it is logged, and started again after a pause that grows; health, Prometheus, `doctor` and the
page read from here how each of them fares.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Lock, Thread
from traceback import format_exception
from typing import Final, Literal

import structlog

from agentflow.clock import Clock, SystemClock, to_rfc3339
from agentflow.timers import SystemTimers, Timers

log = structlog.get_logger()

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""After so long without a failure the next one is the first again."""
SHOWN_US: Final = 10_000_000
"""A failure that is over is shown for so long, so that who looks now and then sees it."""


@dataclass(frozen=True, slots=True)
class ActivityStatus:
    """How one activity is doing.

    Attributes:
        part: The part of the platform it belongs to, as `GET /v1/health` names them.
        state: `recovered` for ten seconds after a failure that is over.
        failures: How often it failed since the process started.
        restarts: How often it was started again.
        since_us: Since when it fails; of one that recovered, when it last failed.
    """

    name: str
    part: str
    state: Literal["well", "recovered", "failing"]
    failures: int
    restarts: int
    reason: str | None = None
    since_us: int | None = None

    @property
    def detail(self) -> str:
        """Say it in one sentence."""
        if self.reason is None or self.since_us is None:
            return f"{self.name} runs"
        since = to_rfc3339(self.since_us)
        if self.state == "failing":
            return f"{self.name} fails since {since}: {self.reason}"
        return f"{self.name} failed at {since} and runs again: {self.reason}"


class Activity:
    """One thing that goes on in the background, as it says how it is doing. Any thread."""

    def __init__(self, name: str, part: str, clock: Clock) -> None:
        self.name = name
        self.part = part
        self._clock = clock
        self._lock = Lock()
        self._failing = False
        self._failures = 0
        self._restarts = 0
        self._reason: str | None = None
        self._since_us: int | None = None
        self._failed_us = 0

    def well(self) -> None:
        """Say that it has done what it is for, or waits for something to do."""
        if self._failing:
            with self._lock:
                self._failing = False
            log.info("background.recovered", activity=self.name)

    def failed(self, error: BaseException, *, expected: bool = False) -> None:
        """Say that it failed; it is *expected* of what others do, such as a store that is away."""
        now_us = self._clock.now_us()
        with self._lock:
            first, before = not self._failing, self._reason
            self._failing, self._failed_us = True, now_us
            self._failures += 1
            self._reason = reason_of(error)
            if first:
                self._since_us = now_us
        if expected and not first and self._reason == before:
            log.debug("background.failed", activity=self.name, reason=self._reason)
        elif expected:
            log.warning("background.failed", activity=self.name, reason=self._reason)
        else:
            log.error("background.failed", activity=self.name, trace=trace_of(error))

    def restarted(self) -> None:
        """Say that it was started again."""
        with self._lock:
            self._restarts += 1

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Let no failure of the body out, of whatever type; it is noted instead."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - noted, and shown by health
            self.failed(error)
        else:
            self.well()

    @property
    def status(self) -> ActivityStatus:
        """How it fares now."""
        with self._lock:
            failing, reason, since_us = self._failing, self._reason, self._since_us
            failed_us, counts = self._failed_us, (self._failures, self._restarts)
        if failing:
            return ActivityStatus(self.name, self.part, "failing", *counts, reason, since_us)
        if reason is not None and self._clock.now_us() - failed_us < SHOWN_US:
            return ActivityStatus(self.name, self.part, "recovered", *counts, reason, failed_us)
        return ActivityStatus(self.name, self.part, "well", *counts)


def trace_of(error: BaseException) -> str:
    """Return the trace of a failure as text, without local variables: they hold personal data."""
    return "".join(format_exception(error))


def reason_of(error: BaseException) -> str:
    """Return what a failure is, in one line.

    >>> reason_of(ValueError("no field"))
    'ValueError: no field'
    """
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Supervisor:
    """Every activity of one process."""

    def __init__(self, clock: Clock | None = None, timers: Timers | None = None) -> None:
        self.clock = clock or SystemClock()
        self.timers = timers or SystemTimers()
        self._activities: dict[str, Activity] = {}

    def activity(self, name: str, part: str) -> Activity:
        """Return the activity of that name, whose status is now reported."""
        return self._activities.setdefault(name, Activity(name, part, self.clock))

    def statuses(self) -> list[ActivityStatus]:
        """Return how each activity fares."""
        return [activity.status for activity in list(self._activities.values())]

    def thread(self, name: str, part: str, run: Callable[[], None]) -> SupervisedThread:
        """Return a thread that does *run* until that returns; see `SupervisedThread`."""
        return SupervisedThread(self.activity(name, part), run, self.timers)

    def task(self, name: str, part: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Start a task that does *run*, which never returns; cancel it to end it."""
        return asyncio.create_task(_kept(self.activity(name, part), run, self.timers), name=name)


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel *tasks* and return once all have ended."""
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    if waiting:
        await asyncio.wait(waiting)


class _Pauses:
    """How long to wait before the next start."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._next = FIRST_PAUSE_SECONDS
        self._started = timers.seconds()

    def started(self) -> None:
        self._started = self._timers.seconds()

    def next(self) -> float:
        if self._timers.seconds() - self._started >= STEADY_SECONDS:
            self._next = FIRST_PAUSE_SECONDS
        pause, self._next = self._next, min(2 * self._next, LONGEST_PAUSE_SECONDS)
        return pause


class SupervisedThread:
    """A thread whose work is started again whenever it raises, until `stop`.

    The work returns when it is told to end, by its owner, before `stop` is called.
    """

    def __init__(self, activity: Activity, run: Callable[[], None], timers: Timers) -> None:
        self.activity = activity
        self._run = run
        self._timers = timers
        self._changed = Condition()
        self._stopping = False
        self._thread = Thread(target=self._keep, name=activity.name, daemon=True)

    def start(self) -> None:
        """Start."""
        self._thread.start()

    def stop(self) -> None:
        """Start nothing again, and wait for the end of what runs."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def _keep(self) -> None:
        pauses = _Pauses(self._timers)
        while True:
            try:
                self._run()
            except BaseException as error:  # noqa: BLE001 - logged, shown, and started again
                self.activity.failed(error)
            else:
                return
            if not self._pause(pauses.next()):
                return
            self.activity.restarted()
            pauses.started()

    def _pause(self, seconds: float) -> bool:
        """Wait before the next start; False when there will be none."""
        due = self._timers.seconds() + seconds
        with self._changed:
            while not self._stopping:
                if self._timers.seconds() >= due:
                    return True
                self._timers.wait(self._changed, due)
        return False


async def _kept(activity: Activity, run: Callable[[], Awaitable[None]], timers: Timers) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this runs inside a task
    pauses = _Pauses(timers)
    while True:
        try:
            await run()
        except BaseException as error:
            if task.cancelling():
                raise
            activity.failed(error)
        else:
            return
        await timers.sleep(pauses.next())
        activity.restarted()
        pauses.started()
