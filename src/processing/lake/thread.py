"""The thread that keeps the lake close behind the log, woken by pushes."""

from __future__ import annotations

import time
from datetime import timedelta
from math import inf
from threading import Condition, Lock

import structlog

from agentflow.contracts import Registry
from agentflow.errors import AgentFlowError
from agentflow.supervision import Supervisor
from processing.lake.housekeeping import Housekeeping
from processing.lake.port import LakeHealth
from processing.lake.positions import Positions
from processing.lake.writer import LakeWriter
from quality import Gate

log = structlog.get_logger()


class LakeThread:
    """Runs a `LakeWriter`: a batch at most every *interval*, or once *batch_events* wait.

    Every method may be called from any thread and none but `flush` and `close` blocks.
    """

    def __init__(
        self,
        writer: LakeWriter,
        *,
        interval: timedelta = timedelta(seconds=10),
        batch_events: int = 20_000,
        housekeeping: Housekeeping | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        """Prepare the thread.

        Args:
            writer: What writes; only this thread may use it.
            interval: Longest time an event waits.
            batch_events: Write sooner when so many wait.
            housekeeping: What is done between two batches.
            supervisor: What starts the thread again, whatever ends it.
        """
        supervisor = supervisor or Supervisor()
        self._timers = supervisor.timers
        self._writer = writer
        self._interval_seconds = interval.total_seconds()
        self._batch_events = batch_events
        self._changed = Condition()
        self._writing = Lock()
        self._known = writer.covered
        self._urgent = writer.covered
        self._due: float | None = None
        self._failure: BaseException | None = None
        self._attempts = 0
        self._stopping = False
        self._housekeeping = housekeeping or Housekeeping(supervisor)
        self._thread = supervisor.thread("lake-writer", "lake", self._run)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def notify(self, ends: Positions) -> None:
        """Say that the log's topics now end at *ends*; returns at once."""
        with self._changed:
            if self._known.reaches(ends):
                return
            self._known = self._known.joined(ends)
            idle = self._due is None
            if idle:
                self._due = self._timers.seconds() + self._interval_seconds
            if idle or self._waiting() >= self._batch_events:
                self._changed.notify_all()

    def adopt(self, registry: Registry, gate: Gate) -> None:
        """Write by other contracts from the next batch on; waits for the one being written.

        Raises:
            ContractError: A contract cannot be stored beside what the lake holds.
        """
        with self._writing:
            self._writer.adopt(registry, gate)

    @property
    def covered(self) -> Positions:
        """What the lake holds."""
        return self._writer.covered

    @property
    def seen(self) -> LakeHealth | None:
        """What the last look at the lake showed."""
        return self._housekeeping.seen

    @property
    def maintained(self) -> int:
        """How often maintenance was done."""
        return self._housekeeping.maintained

    @property
    def failure(self) -> BaseException | None:
        """Why the last attempt failed; None while all is well. Attempts go on at each interval."""
        return self._failure

    @property
    def readable(self) -> bool:
        """True: what fails here is writing."""
        return True

    def flush(self, goal: Positions, *, timeout: timedelta) -> bool:
        """Write now and wait until *goal* is covered; False when that took longer than *timeout*.

        Raises:
            StorageError: The attempt failed.
        """
        deadline = time.monotonic() + timeout.total_seconds()
        with self._changed:
            attempts = self._attempts
            self._known = self._known.joined(goal)
            self._urgent = self._urgent.joined(goal)
            self._changed.notify_all()
            while not self.covered.reaches(goal):
                if self._failure is not None and self._attempts > attempts:
                    raise self._failure
                if not self._changed.wait(deadline - time.monotonic()):
                    return self.covered.reaches(goal)
        return True

    def close(self, *, flush: bool = True) -> None:
        """Write what is left (unless told otherwise), then stop the thread and wait for it."""
        with self._changed:
            if flush:
                self._urgent = self._known
            self._stopping = True
            self._changed.notify_all()
        self._thread.stop()

    def _waiting(self) -> int:
        covered = self.covered
        return (
            self._known.validated
            - covered.validated
            + self._known.dead_letters
            - covered.dead_letters
        )

    def _run(self) -> None:
        self._housekeeping.look()
        while (goal := self._next_goal()) is not None:
            failure = None if self.covered.reaches(goal) else self._attempt(goal)
            if failure is None:
                self._housekeeping.look()
            with self._changed:
                self._failure = failure
                self._attempts += 1
                if failure is not None:
                    self._urgent = self.covered  # not at once again: at the next interval
                behind = not self.covered.reaches(self._known)
                self._due = self._timers.seconds() + self._interval_seconds if behind else None
                self._changed.notify_all()
            if failure is None:
                with self._writing:
                    maintained = self._housekeeping.maintain_when_due()
                if maintained:
                    self._housekeeping.look()

    def _next_goal(self) -> Positions | None:
        """Wait until there is something to do; None when the thread is to end.

        A goal that is covered already means that maintenance or a look is due.
        """
        with self._changed:
            while True:
                if not self.covered.reaches(self._urgent):
                    return self._known
                if self._stopping:
                    return None
                now = self._timers.seconds()
                if self._due is not None and now >= self._due:
                    return self._known
                if self._failure is None:
                    if self._waiting() >= self._batch_events:
                        return self._known
                    if now >= self._housekeeping.due:
                        return self.covered
                due = inf if self._due is None else self._due
                if self._failure is None:
                    due = min(due, self._housekeeping.due)
                    self._thread.activity.well()
                self._timers.wait(self._changed, None if due == inf else due)

    def _attempt(self, goal: Positions) -> BaseException | None:
        started = time.monotonic()
        before = self.covered
        try:
            with self._writing:
                self._writer.write_up_to(goal)
        except BaseException as error:  # noqa: BLE001 - supervision: it is tried again
            self._thread.activity.failed(error, expected=isinstance(error, AgentFlowError))
            return error
        log.info(
            "lake.batch_committed",
            events=self.covered.validated - before.validated,
            dead_letters=self.covered.dead_letters - before.dead_letters,
            seconds=round(time.monotonic() - started, 3),
        )
        return None
