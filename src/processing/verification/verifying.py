"""Checks a running platform: a cut of live state, computed again from the lake alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final, Protocol

from agentflow.clock import Clock
from agentflow.errors import UnavailableError
from processing.history import History, MetricRow
from processing.lake import LakeSync, Positions
from processing.live import LiveEngine, MetricId
from processing.recovery.rebuild import Progress, no_progress
from processing.runtime.slices import at_once
from processing.verification.checks import Check, Cut, Cutting, question
from processing.verification.proofs import proofs, windows_of

FLUSH_TIMEOUT: Final = timedelta(seconds=60)


class Verifiable(Protocol):
    """What is checked: live state, and the lake it is compared with."""

    @property
    def engine(self) -> LiveEngine:
        """The live state."""
        ...

    @property
    def history(self) -> History:
        """What computes from the lake."""
        ...

    @property
    def lake(self) -> LakeSync:
        """What brings events to the lake."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    def require_ready(self) -> None:
        """Raise while live state is not complete."""
        ...

    async def refresh(self, metric: MetricId, tenant: str) -> None:
        """Bring a metric to this instant, while others are answered."""
        ...


class Verification:
    """Takes cuts of live numbers and compares them with the lake. One event loop."""

    def __init__(self, platform: Verifiable) -> None:
        self._platform = platform

    async def verify(
        self, *, tenant: str | None = None, progress: Progress = no_progress
    ) -> list[Check]:
        """Compare every window of every metric, cell by cell, with the lake.

        A check that cannot be done has a `failure`; the others go on.

        Raises:
            UnavailableError: The platform is starting or stopping.
        """
        self._platform.require_ready()
        engine = self._platform.engine
        tenants = [tenant] if tenant is not None else engine.tenants()
        windows = windows_of(engine.plans, tenants)
        checks: list[Check] = []
        async for check in proofs(self, windows):
            checks.append(check)
            name = check.cut.plan.contract.name
            progress(f"verifying {name}", len(checks), len(windows))
        return checks

    def cut(
        self,
        metric: MetricId,
        tenant: str,
        *,
        window: str,
        by: tuple[str, ...] = (),
        where: Mapping[str, object] | None = None,
    ) -> Cut:
        """Return one window of one metric as it is now, for a comparison with the lake."""
        cutting = self.cutting(metric, tenant, window=window, by=by, where=where)
        at_once(cutting.steps())
        return cutting.cut

    def cutting(
        self,
        metric: MetricId,
        tenant: str,
        *,
        window: str,
        by: tuple[str, ...] = (),
        where: Mapping[str, object] | None = None,
    ) -> Cutting:
        """Begin to take such a cut, of this instant."""
        engine = self._platform.engine
        return Cutting(
            engine.read(metric, tenant, now_us=self._platform.clock.now_us()),
            tenant=tenant,
            window=window,
            next_offset=engine.next_offset,
            by=by,
            where=where or {},
        )

    async def refresh(self, metric: MetricId, tenant: str) -> None:
        """Bring a metric to this instant, while others are answered.

        Raises:
            UnavailableError: The platform is starting or stopping.
        """
        await self._platform.refresh(metric, tenant)

    def recompute(self, cut: Cut) -> Iterator[MetricRow]:
        """Compute a cut from the lake alone, which is first brought up to it; blocks.

        Rows are yielded as they come: close it, if not all are wanted.

        Raises:
            UnavailableError: The lake did not follow in time, or the query was stopped.
            StorageError: A file of the lake cannot be read.
            ValueTooLargeError: A number has more digits than a recompute holds.
        """
        self.flush_lake(cut.next_offset)
        yield from self._platform.history.rows(cut.plan, question(cut), tail=False)

    def flush_lake(self, next_offset: int) -> None:
        """Block until the lake holds everything before *next_offset*; not on the event loop.

        Raises:
            UnavailableError: It did not in time; says how far it is, and why if that is known.
        """
        lake, goal = self._platform.lake, Positions(next_offset, 0)
        if lake.covered.reaches(goal) or lake.flush(goal, timeout=FLUSH_TIMEOUT):
            return
        failure = lake.failure
        reason = f"; its last attempt failed: {failure}" if failure is not None else ""
        raise UnavailableError(
            f"the lake is behind: it does not hold all events of the log"
            f" after {FLUSH_TIMEOUT.total_seconds():g} s{reason}",
            hint="See lake in GET /v1/health; ask again once it has caught up.",
        )
