"""The lake while a job elsewhere writes it: looked at, waited for, never written."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Condition, Thread

import structlog

from agentflow.contracts import Registry
from agentflow.errors import AgentFlowError
from processing.lake import Positions
from quality import Gate

log = structlog.get_logger()

LOOK_EVERY = timedelta(seconds=5)
_IMPATIENT_SECONDS = 0.25


class LakeObserver:
    """Knows what the lake covers. A catalog does not push: it is asked, and more often by a wait.

    No event waits for it, only proofs do. Every method may be called from any thread.
    """

    def __init__(
        self,
        positions: Callable[[], Positions],
        *,
        adopt: Callable[[Registry], None] = lambda _: None,
        look_every: timedelta = LOOK_EVERY,
    ) -> None:
        """Prepare.

        Args:
            positions: Reads what every table covers.
            adopt: Makes the lake's layouts known that other contracts bring.
            look_every: How often to look while nobody waits.
        """
        self._positions = positions
        self._adopt = adopt
        self._look_seconds = look_every.total_seconds()
        self._changed = Condition()
        self._covered = Positions()
        self._failure: Exception | None = None
        self._stopping = False
        self._waiting = 0
        self._thread = Thread(target=self._run, name="lake-observer", daemon=True)

    @property
    def covered(self) -> Positions:
        """What the lake held when it was looked at last."""
        return self._covered

    @property
    def failure(self) -> Exception | None:
        """Why the last look failed; None while all is well."""
        return self._failure

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def notify(self, ends: Positions) -> None:
        """Do nothing: the job is told by the stream."""
        del ends

    def adopt(self, registry: Registry, gate: Gate) -> None:
        """Read by other contracts from now on.

        Raises:
            ContractError: A contract cannot be stored beside what the lake holds.
        """
        del gate
        self._adopt(registry)

    def flush(self, goal: Positions, *, timeout: timedelta) -> bool:
        """Wait until the job has covered *goal*; False when that took longer than *timeout*."""
        deadline = time.monotonic() + timeout.total_seconds()
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            try:
                while not self._covered.reaches(goal):
                    if not self._changed.wait(max(deadline - time.monotonic(), 0)):
                        return self._covered.reaches(goal)
            finally:
                self._waiting -= 1
        return True

    def close(self) -> None:
        """Stop to look."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            covered, failure = self._look()
            with self._changed:
                self._covered, self._failure = self._covered.joined(covered), failure
                self._changed.notify_all()
                if not self._stopping:
                    waiting = _IMPATIENT_SECONDS if self._waiting else self._look_seconds
                    self._pause(waiting)

    def _pause(self, seconds: float) -> None:
        """Wait for the next look; sooner when somebody begins to wait for the lake."""
        deadline, waiting = time.monotonic() + seconds, self._waiting
        while (left := deadline - time.monotonic()) > 0 and not self._stopping:
            self._changed.wait(left)
            if self._waiting > waiting:
                return

    def _look(self) -> tuple[Positions, Exception | None]:
        try:
            return self._positions(), None
        except AgentFlowError as error:
            return Positions(), error
        except Exception as error:  # supervision: the answers go on, the status says what is wrong
            log.exception("lake.look_failed")
            return Positions(), error
