"""The state of a running platform, from what is known already: nothing is waited for."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from agentflow.clock import MICROSECOND, Clock
from agentflow.contracts.model import duration
from agentflow.metrics import MetricPlan
from agentflow.supervision import ActivityStatus, Supervisor
from ingestion.log.port import DEAD_LETTERS, VALIDATED, CommitLog
from processing.definitions import Definitions
from processing.health.truncations import Truncations
from processing.lake import LakeSync
from processing.lake.lag import LAKE_BUDGET, LakeLag, LakeLagMeter
from processing.recovery.opening import Recovery
from processing.recovery.rebuild import Rebuilt
from processing.write.port import EventIntake


class ObservedPlatform(Protocol):
    """What health looks at of a running platform."""

    @property
    def ready(self) -> bool:
        """Whether live state is complete."""
        ...

    @property
    def rebuilt(self) -> Rebuilt | None:
        """Where the live state came from, once ready."""
        ...

    @property
    def definitions(self) -> Definitions:
        """The contracts in force."""
        ...

    @property
    def intake(self) -> EventIntake:
        """How events get in."""
        ...


class Health:
    """How the platform and its parts are doing. Any thread.

    Attributes:
        platform: What is observed.
        lake: What brings events to the lake.
        lake_budget: How far the lake may be behind for the platform to be healthy.
        recoveries: What had to be repaired, at the start or since.
        truncations: Tables that were emptied at once and not dealt with.
    """

    def __init__(  # noqa: PLR0913 - each is another part that is observed
        self,
        platform: ObservedPlatform,
        *,
        log: CommitLog,
        lake: LakeSync,
        truncations: Truncations,
        supervisor: Supervisor,
        recoveries: Sequence[Recovery],
        data_dir: Path,
        clock: Clock,
    ) -> None:
        self.platform = platform
        self.lake = lake
        self.lake_budget = LAKE_BUDGET
        self.recoveries = recoveries
        self.truncations = truncations
        self._lag = LakeLagMeter(log, clock)
        self._log = log
        self._supervisor = supervisor
        self._data_dir = data_dir
        self._clock = clock

    def statuses(self) -> Sequence[ActivityStatus]:
        """Return how each thread and task in the background is doing."""
        return self._supervisor.statuses()

    def lake_lag(self) -> LakeLag:
        """Return how far the lake is behind the log."""
        return self._lag.measure(self.lake)

    @property
    def log_end(self) -> int:
        """The offset that the next accepted event will get."""
        return self._log.end(VALIDATED)

    @property
    def dead_letters_end(self) -> int:
        """The offset that the next dead letter will get."""
        return self._log.end(DEAD_LETTERS)

    @property
    def free_bytes(self) -> int:
        """Free space on the disk of the data directory."""
        return shutil.disk_usage(self._data_dir).free

    def readiness(self) -> Literal["ready", "rebuilding", "lake_behind"]:
        """Return `ready`, or why requests should not be sent here."""
        if not self.platform.ready:
            return "rebuilding"
        if self.lake_lag().seconds > self.lake_budget.total_seconds():
            return "lake_behind"
        return "ready"

    def status(self, plan: MetricPlan, tenant: str) -> Literal["fresh", "stale", "partial"]:
        """Return how a live number of *plan* may be read now by *tenant*.

        Stale: for longer than the contract's freshness allows, an event waits to become visible,
        or it is not known whether one does. Partial: live state is not complete, or a table whose
        rows it counts was truncated.
        """
        platform = self.platform
        if not platform.ready:
            return "partial"
        registry = platform.definitions.registry
        if self.truncations.of(plan.contract, registry, tenant) is not None:
            return "partial"
        return "stale" if self.stale(plan) else "fresh"

    def stale(self, plan: MetricPlan) -> bool:
        """Tell whether events have waited for longer than the contract's freshness allows."""
        waiting_since_us = self.platform.intake.waiting_since_us
        if waiting_since_us is None:
            return False
        limit_us = duration(plan.contract.freshness.p95) // MICROSECOND
        return self._clock.now_us() - waiting_since_us > limit_us
