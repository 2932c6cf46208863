"""Stay informed of a lake that another program writes: how far it is, and keep it small."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Condition
from typing import Final

from agentflow.contracts import Registry
from agentflow.errors import AgentFlowError
from agentflow.supervision import Supervisor
from processing.lake.housekeeping import Housekeeping
from processing.lake.port import LakeHealth
from processing.lake.positions import Positions
from quality import Gate

_URGENT_SECONDS: Final = 0.25


class LakeFollower:
    """What `LakeThread` is where this process writes: the same methods, and nothing is written.

    Iceberg does not announce commits, so the catalog is asked once in every interval, and more
    often only while a call waits in `flush`. Every method may be called from any thread.
    """

    def __init__(
        self,
        look: Callable[[], LakeHealth],
        *,
        adopt: Callable[[Registry], None],
        interval: timedelta,
        housekeeping: Housekeeping | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        supervisor = supervisor or Supervisor()
        self._timers = supervisor.timers
        self._look = look
        self._adopt = adopt
        self._interval_seconds = interval.total_seconds()
        self._changed = Condition()
        self._seen: LakeHealth | None = None
        self._covered = Positions()
        self._failure: BaseException | None = None
        self._asked = 0
        self._waiting = 0
        self._stopping = False
        self._housekeeping = housekeeping or Housekeeping(supervisor)
        self._thread = supervisor.thread("lake-follower", "lake", self._run)

    def start(self) -> None:
        """Start asking."""
        self._thread.start()

    def notify(self, ends: Positions) -> None:
        """Do nothing: the job that writes the lake reads the topics by itself."""

    def adopt(self, registry: Registry, gate: Gate) -> None:
        """Add what other contracts want to the tables; their writer has to be restarted.

        Raises:
            ContractError: A contract cannot be stored beside what the lake holds.
        """
        del gate
        self._adopt(registry)

    @property
    def covered(self) -> Positions:
        """What the lake was found to hold."""
        return self._covered

    @property
    def seen(self) -> LakeHealth | None:
        """What the last look at the lake showed."""
        return self._seen

    @property
    def maintained(self) -> int:
        """How often maintenance was done."""
        return self._housekeeping.maintained

    @property
    def failure(self) -> BaseException | None:
        """Why the lake could not be asked; None while all is well."""
        return self._failure

    @property
    def readable(self) -> bool:
        """Whether the last look at the lake worked."""
        return self._failure is None

    def flush(self, goal: Positions, *, timeout: timedelta) -> bool:
        """Wait until *goal* is covered; False when that took longer than *timeout*.

        Raises:
            StorageError: The lake cannot be asked.
        """
        deadline = time.monotonic() + timeout.total_seconds()
        with self._changed:
            asked = self._asked
            self._waiting += 1
            self._changed.notify_all()
            try:
                while not self._covered.reaches(goal):
                    if self._failure is not None and self._asked > asked:
                        raise self._failure
                    if not self._changed.wait(deadline - time.monotonic()):
                        return self._covered.reaches(goal)
            finally:
                self._waiting -= 1
        return True

    def close(self, *, flush: bool = True) -> None:
        """Stop asking."""
        del flush
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.stop()

    def _run(self) -> None:
        while True:
            seen, failure = self._ask()
            with self._changed:
                if seen is not None:
                    self._seen, self._covered = seen, seen.positions
                self._failure = failure
                self._asked += 1
                self._changed.notify_all()
            if failure is None:
                self._thread.activity.well()
                self._housekeeping.maintain_when_due()
            if not self._wait():
                return

    def _wait(self) -> bool:
        """Wait until it is time to look again; False when no other look is wanted."""
        with self._changed:
            begun = self._timers.seconds()
            while not self._stopping:
                pause = _URGENT_SECONDS if self._waiting else self._interval_seconds
                if self._timers.seconds() >= begun + pause:
                    return True
                self._timers.wait(self._changed, begun + pause)
        return False

    def _ask(self) -> tuple[LakeHealth | None, BaseException | None]:
        try:
            return self._look(), None
        except BaseException as error:  # noqa: BLE001 - supervision: it is asked again
            self._thread.activity.failed(error, expected=isinstance(error, AgentFlowError))
            return None, error
