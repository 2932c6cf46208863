"""Stay informed of a lake that another program writes: how far it is, and keep it small."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Condition, Thread
from typing import Final

import structlog

from agentflow.contracts import Registry
from agentflow.errors import AgentFlowError
from processing.lake.positions import Positions
from processing.lake.thread import MAINTAIN_EVERY
from quality import Gate

log = structlog.get_logger()

_URGENT_SECONDS: Final = 0.25


class LakeFollower:
    """What `LakeThread` is where this process writes: the same methods, and nothing is written.

    Iceberg tells nobody of a commit, so the catalog is asked once in every interval, and more
    often only while somebody waits in `flush`. Every method may be called from any thread.
    """

    def __init__(
        self,
        positions: Callable[[], Positions],
        *,
        adopt: Callable[[Registry], None],
        interval: timedelta,
        maintain: Callable[[], None] | None = None,
        maintain_every: timedelta = MAINTAIN_EVERY,
    ) -> None:
        self._positions = positions
        self._adopt = adopt
        self._interval_seconds = interval.total_seconds()
        self._maintain = maintain
        self._maintain_seconds = maintain_every.total_seconds()
        self._maintained = time.monotonic()
        self._changed = Condition()
        self._covered = Positions()
        self._failure: Exception | None = None
        self._asked = 0
        self._waiting = 0
        self._stopping = False
        self._thread = Thread(target=self._run, name="lake-follower", daemon=True)

    def start(self) -> None:
        """Start asking."""
        self._thread.start()

    def notify(self, ends: Positions) -> None:
        """Do nothing: whoever writes the lake reads the topics by itself."""

    def adopt(self, registry: Registry, gate: Gate) -> None:
        """Add what other contracts want to the tables; their writer has to be started anew.

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
    def failure(self) -> Exception | None:
        """Why the lake could not be asked; None while all is well."""
        return self._failure

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
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            covered, failure = self._ask()
            with self._changed:
                self._covered = self._covered if covered is None else covered
                self._failure = failure
                self._asked += 1
                self._changed.notify_all()
            if failure is None:
                self._maintain_when_due()
            with self._changed:
                if self._stopping:
                    return
                self._changed.wait(_URGENT_SECONDS if self._waiting else self._interval_seconds)
                if self._stopping:
                    return

    def _ask(self) -> tuple[Positions | None, Exception | None]:
        try:
            return self._positions(), None
        except AgentFlowError as error:
            log.warning("lake.unreachable", why=str(error))
            return None, error
        except Exception as error:  # supervision: reads go on and the status says what is wrong
            log.exception("lake.follower_crashed")
            return None, error

    def _maintain_when_due(self) -> None:
        if self._maintain is None or time.monotonic() - self._maintained < self._maintain_seconds:
            return
        self._maintained = time.monotonic()
        try:
            self._maintain()
        except BaseException:  # supervision: it is tried again when it is due, and looking goes on
            log.warning("lake.maintenance_failed", exc_info=True)
