"""Proofs one after another: each window of each metric is read, computed again, and let go.

A check that fails, whatever it was that failed, is a failed check with its reason; the others go
on. No more than one window of one metric is held at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Protocol

import structlog

from agentflow.errors import AgentFlowError
from agentflow.metrics import MetricPlan
from agentflow.supervision import trace_of
from processing.history import MetricRow
from processing.live import MetricId
from processing.runtime.slices import in_slices
from processing.verification.checks import Check, Compared, Cut, Cutting, compare, paired

log = structlog.get_logger()


class Provable(Protocol):
    """Live state, and the lake it is compared with."""

    def cutting(
        self,
        metric: MetricId,
        tenant: str,
        *,
        window: str,
        by: tuple[str, ...] = (),
        where: Mapping[str, object] | None = None,
    ) -> Cutting:
        """Begin to read one window of one metric as it is now."""
        ...

    async def refresh(self, metric: MetricId, tenant: str) -> None:
        """Bring a metric to this instant, while others are answered."""
        ...

    def recompute(self, cut: Cut) -> Iterator[MetricRow]:
        """Compute a cut from the lake alone, row by row; blocks."""
        ...


@dataclass(frozen=True, slots=True)
class WindowCheck:
    """What one check is about."""

    tenant: str
    plan: MetricPlan
    name: str


def windows_of(plans: Mapping[MetricId, MetricPlan], tenants: Sequence[str]) -> list[WindowCheck]:
    """Return every window of every metric, in an order that stays."""
    return [
        WindowCheck(tenant, plans[metric], window.name)
        for tenant in tenants
        for metric in sorted(plans)
        for window in plans[metric].windows
    ]


async def proofs(platform: Provable, windows: Sequence[WindowCheck]) -> AsyncIterator[Check]:
    """Yield the check of each window: done, or failed with its reason."""
    seen: set[type] = set()
    for window in windows:
        started, proof = perf_counter(), None
        try:
            await platform.refresh(window.plan.id, window.tenant)
            proof = Proof(platform, window, by=window.plan.dimensions)
            yield await proof.check()
        except Exception as error:  # noqa: BLE001 - one check must not stop the others
            name = f"{window.plan.contract.name}@{window.plan.contract.version}"
            told = isinstance(error, AgentFlowError) or type(error) in seen
            seen.add(type(error))
            trace = {} if told else {"trace": trace_of(error)}
            log.warning("check.failed", metric=name, window=window.name, reason=str(error), **trace)
            live = () if proof is None else proof.live
            yield _failed(window, error, live=live, seconds=perf_counter() - started)


async def prove(
    platform: Provable,
    window: WindowCheck,
    *,
    by: tuple[str, ...],
    where: Mapping[str, object] | None = None,
) -> Check:
    """Compare one window cell by cell, and what it says over all cells; see `Proof.check`."""
    await platform.refresh(window.plan.id, window.tenant)
    return await Proof(platform, window, by=by, where=where).check()


class Proof:
    """A comparison that is being made, with what is live at the instant at which it began.

    Attributes:
        live: The numbers over all cells as they stood, beside nothing yet: one, or one for each
            currency; none before they are measured.
    """

    def __init__(
        self,
        platform: Provable,
        window: WindowCheck,
        *,
        by: tuple[str, ...],
        where: Mapping[str, object] | None = None,
    ) -> None:
        self._platform = platform
        self._started = perf_counter()
        self.live: Sequence[Compared] = ()
        plan, where = window.plan, where or {}
        currency = () if plan.currency is None or plan.currency in where else (plan.currency,)

        def cutting(by: tuple[str, ...]) -> Cutting:
            return platform.cutting(plan.id, window.tenant, window=window.name, by=by, where=where)

        self._cells = cutting(by)
        self._total = None if by == currency else cutting(currency)

    async def check(self) -> Check:
        """Compare.

        Raises:
            UnavailableError: The lake did not follow in time, or the query was stopped.
            StorageError: A file of the lake cannot be read.
            ValueTooLargeError: A number has more digits than a recompute holds; names the metric.
        """
        try:
            for each in self._parts():
                await in_slices(each.steps())
        finally:
            self.close()
        cut = self._cells.cut
        total = cut
        if self._total is not None:
            total = self._total.cut
            if not total.cells:  # of no currency there is nothing: 0, or null
                total = self._total.nothing
        self.live = list(paired(total, ()))
        check = await asyncio.to_thread(_checked, self._platform, cut, total)
        return replace(check, seconds=perf_counter() - self._started)

    def close(self) -> None:
        """Let go of what is live."""
        for each in self._parts():
            each.close()

    def _parts(self) -> list[Cutting]:
        return [self._cells] if self._total is None else [self._cells, self._total]


def _checked(platform: Provable, cells: Cut, total: Cut) -> Check:
    """Recompute and compare; blocks this thread for as long as there are cells."""
    if total is cells:  # one number, or one for each currency
        rows = list(platform.recompute(cells))
        return replace(compare(cells, rows), totals=list(paired(cells, rows)))
    check = compare(cells, platform.recompute(cells))
    return replace(check, totals=list(paired(total, platform.recompute(total))))


def _failed(
    window: WindowCheck, error: Exception, *, live: Sequence[Compared], seconds: float
) -> Check:
    plan = window.plan
    cut = Cut(plan, window.tenant, window.name, 0, 0, 0, plan.dimensions, {}, {})
    expected = isinstance(error, AgentFlowError)
    reason = str(error) if expected else f"{type(error).__name__}: {error}"
    return Check(cut, 0, totals=live, seconds=seconds, failure=reason)
