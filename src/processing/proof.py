"""Proofs one after another: each window of each metric is read, computed again, and let go.

A check that fails, whatever it was that failed, is a failed check with its reason; the others go
on. No more than one window of one metric is held at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Protocol

import structlog

from agentflow.errors import AgentFlowError
from agentflow.metrics import MetricPlan
from processing.history import MetricRow
from processing.live import MetricId
from processing.verification import Check, Cut, compare, paired

log = structlog.get_logger()


class Provable(Protocol):
    """Live state, and the lake it is compared with."""

    def cut(
        self,
        metric: MetricId,
        tenant: str,
        *,
        window: str,
        by: tuple[str, ...] = (),
        where: Mapping[str, object] | None = None,
    ) -> Cut:
        """Return one window of one metric as it stands."""
        ...

    def recompute(self, cut: Cut) -> Sequence[MetricRow]:
        """Compute a cut from the lake alone; blocks."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """What one check is about."""

    tenant: str
    plan: MetricPlan
    name: str


def windows_of(plans: Mapping[MetricId, MetricPlan], tenants: Sequence[str]) -> list[Window]:
    """Return every window of every metric, in an order that stays."""
    return [
        Window(tenant, plans[metric], window.name)
        for tenant in tenants
        for metric in sorted(plans)
        for window in plans[metric].windows
    ]


async def proofs(platform: Provable, windows: Sequence[Window]) -> AsyncIterator[Check]:
    """Yield the check of each window: done, or failed with its reason."""
    seen: set[type] = set()
    for window in windows:
        started = perf_counter()
        try:
            yield await prove(platform, window, by=window.plan.dimensions)
        except Exception as error:
            name = f"{window.plan.contract.name}@{window.plan.contract.version}"
            told = isinstance(error, AgentFlowError) or type(error) in seen
            seen.add(type(error))
            log.warning(
                "check.failed", metric=name, window=window.name, reason=str(error),
                exc_info=None if told else error,
            )  # fmt: skip
            yield _failed(window, error, seconds=perf_counter() - started)


async def prove(
    platform: Provable,
    window: Window,
    *,
    by: tuple[str, ...],
    where: Mapping[str, object] | None = None,
) -> Check:
    """Compare one window cell by cell, and what it says over all cells.

    Raises:
        UnavailableError: The lake did not follow in time, or the query was stopped.
        StorageError: A file of the lake cannot be read.
        ValueTooLargeError: A number has more digits than a recompute holds; names the metric.
    """
    started = perf_counter()
    plan, where = window.plan, where or {}
    currency = () if plan.currency is None or plan.currency in where else (plan.currency,)
    cells = platform.cut(plan.id, window.tenant, window=window.name, by=by, where=where)
    total = cells
    if by != currency:
        total = platform.cut(plan.id, window.tenant, window=window.name, by=currency, where=where)
        if not total.cells:  # of no currency there is nothing: 0, or null
            total = platform.cut(plan.id, window.tenant, window=window.name, where=where)
    check = await asyncio.to_thread(_checked, platform, cells, total)
    return replace(check, seconds=perf_counter() - started)


def _checked(platform: Provable, cells: Cut, total: Cut) -> Check:
    """Recompute and compare; blocks, as long as there are cells, and holds nobody else up."""
    rows = platform.recompute(cells)
    check = compare(cells, rows)
    if total is not cells:
        rows = platform.recompute(total)
    return replace(check, totals=list(paired(total, rows)))


def _failed(window: Window, error: Exception, *, seconds: float) -> Check:
    plan = window.plan
    cut = Cut(plan, window.tenant, window.name, 0, 0, 0, plan.dimensions, {}, {})
    expected = isinstance(error, AgentFlowError)
    reason = str(error) if expected else f"{type(error).__name__}: {error}"
    return Check(cut, 0, seconds=seconds, failure=reason)
