"""What is done to the lake between two batches: maintenance, and a look at the state it is in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import inf
from typing import Final

import structlog

from agentflow.errors import AgentFlowError
from agentflow.supervision import Supervisor
from processing.lake.port import LakeHealth

log = structlog.get_logger()

MAINTAIN_EVERY: Final = timedelta(minutes=10)
LOOK_SECONDS: Final = 30.0
"""A lake that went away is noticed after so long, without a write or a question."""

LOOK_AGAIN_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 60.0
"""Maintenance that failed is tried again after so long."""


class Housekeeping:
    """Maintenance and looks, each when it is due. One thread; `seen` and `due` from any.

    Attributes:
        seen: What the last look showed.
        maintained: How often maintenance was done.

    No failure of either is raised, whatever its type: it is shown, and the next turn comes when it
    is due.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        maintain: Callable[[], None] | None = None,
        every: timedelta = MAINTAIN_EVERY,
        look: Callable[[], LakeHealth] | None = None,
    ) -> None:
        """Prepare it.

        Args:
            supervisor: What is told whether maintenance and looks succeed.
            maintain: Merges small files and removes what is not read any more.
            every: How often to maintain.
            look: Reads the state of the lake; after each batch, and now and then.
        """
        self._timers = supervisor.timers
        self._maintain = maintain
        self._every_seconds = every.total_seconds()
        self._look = look
        self._maintenance = supervisor.activity("lake-maintenance", "lake")
        self._looking = supervisor.activity("lake-look", "lake")
        self._maintained = self._looked = self._timers.seconds()
        self.seen: LakeHealth | None = None
        self.maintained = 0

    @property
    def due(self) -> float:
        """When there is something to do next, in seconds of the timers."""
        maintain = inf if self._maintain is None else self._maintained + self._every_seconds
        return min(maintain, inf if self._look is None else self._looked + LOOK_SECONDS)

    def maintain_when_due(self) -> bool:
        """Maintain, if it is time to; tell whether it was."""
        started = self._timers.seconds()
        if self._maintain is None or started - self._maintained < self._every_seconds:
            return False
        self._maintained = started - max(self._every_seconds - RETRY_SECONDS, 0)
        with self._maintenance.guarding():
            self._maintain()
            self._maintained = started
            self.maintained += 1
            seconds = round(self._timers.seconds() - started, 3)
            log.info("lake.maintained", seconds=seconds)
        return True

    def look(self) -> None:
        """Look what state the lake is in."""
        if self._look is None:
            return
        self._looked = self._timers.seconds()
        try:
            self.seen = self._look()
        except BaseException as error:  # noqa: BLE001 - shown by health
            self._looked += LOOK_AGAIN_SECONDS - LOOK_SECONDS
            self._looking.failed(error, expected=isinstance(error, AgentFlowError))
        else:
            self._looking.well()
