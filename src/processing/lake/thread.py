"""The thread that keeps the lake close behind the log, woken by pushes."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Condition, Lock, Thread

import structlog

from agentflow.contracts import Registry
from agentflow.errors import AgentFlowError
from processing.lake.positions import Positions
from processing.lake.writer import LakeWriter
from quality import Gate

log = structlog.get_logger()


MAINTAIN_EVERY = timedelta(minutes=10)


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
        maintain: Callable[[], None] | None = None,
        maintain_every: timedelta = MAINTAIN_EVERY,
    ) -> None:
        """Prepare the thread.

        Args:
            writer: What writes; nobody else may use it.
            interval: Longest time an event waits.
            batch_events: Write sooner when so many wait.
            maintain: Merges small files and removes what nobody reads; runs between two batches.
            maintain_every: How often, at most.
        """
        self._writer = writer
        self._interval_seconds = interval.total_seconds()
        self._batch_events = batch_events
        self._changed = Condition()
        self._writing = Lock()
        self._known = writer.covered
        self._urgent = writer.covered
        self._due: float | None = None
        self._failure: Exception | None = None
        self._attempts = 0
        self._stopping = False
        self._maintain = maintain
        self._maintain_seconds = maintain_every.total_seconds()
        self._maintained = time.monotonic()
        self._thread = Thread(target=self._run, name="lake-writer", daemon=True)

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
                self._due = time.monotonic() + self._interval_seconds
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
    def failure(self) -> Exception | None:
        """Why the last attempt failed; None while all is well. Attempts go on at each interval."""
        return self._failure

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
        if self._thread.is_alive():
            self._thread.join()

    def _waiting(self) -> int:
        covered = self.covered
        return (
            self._known.validated
            - covered.validated
            + self._known.dead_letters
            - covered.dead_letters
        )

    def _run(self) -> None:
        while (goal := self._next_goal()) is not None:
            failure = self._attempt(goal)
            with self._changed:
                self._failure = failure
                self._attempts += 1
                if failure is not None:
                    self._urgent = self.covered  # not at once again: at the next interval
                behind = not self.covered.reaches(self._known)
                self._due = time.monotonic() + self._interval_seconds if behind else None
                self._changed.notify_all()
            if failure is None:
                self._maintain_when_due()

    def _maintain_when_due(self) -> None:
        if self._maintain is None or time.monotonic() - self._maintained < self._maintain_seconds:
            return
        started = self._maintained = time.monotonic()
        try:
            with self._writing:
                self._maintain()
        except BaseException:  # supervision: no kind of failure may end the thread
            log.warning("lake.maintenance_failed", exc_info=True)
        else:
            log.info("lake.maintained", seconds=round(time.monotonic() - started, 3))

    def _next_goal(self) -> Positions | None:
        """Wait until there is something to write; None when the thread is to end."""
        with self._changed:
            while True:
                if not self.covered.reaches(self._urgent):
                    return self._known
                if self._stopping:
                    return None
                now = time.monotonic()
                if self._due is not None and now >= self._due:
                    return self._known
                if self._failure is None and self._waiting() >= self._batch_events:
                    return self._known
                self._changed.wait(None if self._due is None else self._due - now)

    def _attempt(self, goal: Positions) -> Exception | None:
        started = time.monotonic()
        before = self.covered
        try:
            with self._writing:
                self._writer.write_up_to(goal)
        except AgentFlowError as error:
            log.warning("lake.write_failed", exc_info=True)
            return error
        except Exception as error:  # supervision: the log goes on and the status says what is wrong
            log.exception("lake.write_crashed")
            return error
        log.info(
            "lake.batch_committed",
            events=self.covered.validated - before.validated,
            dead_letters=self.covered.dead_letters - before.dead_letters,
            seconds=round(time.monotonic() - started, 3),
        )
        return None
