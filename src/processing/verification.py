"""Live equals recompute: the permanent check of every metric against the lake.

A cut of the live engine is taken at one instant; the lake is brought to the same log offset; each
metric is computed again from events by DuckDB and compared cell by cell, exactly. The recompute
knows nothing of the live state but the question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentflow.metrics import Measured, MetricPlan, MetricState, measure
from agentflow.metrics.arithmetic import Value
from agentflow.metrics.sql import Question
from agentflow.metrics.windows import BEGINNING_US
from processing.history import MetricRow

Dimensions = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """One window of one metric as it stood when the cut was taken."""

    plan: MetricPlan
    tenant: str
    window: str
    start_us: int
    end_us: int
    next_offset: int
    by: tuple[str, ...]
    where: Mapping[str, object]
    cells: Mapping[Dimensions, Measured]


@dataclass(frozen=True, slots=True)
class Difference:
    """A number that is not what the lake says."""

    dimensions: Mapping[str, object]
    live: Value
    recomputed: Value
    live_events: int
    recomputed_events: int


@dataclass(frozen=True, slots=True)
class Check:
    """The comparison of one cut. `numbers` is how many were compared."""

    cut: Cut
    numbers: int
    differences: Sequence[Difference]

    @property
    def equal(self) -> bool:
        """Whether every number is equal, to the last digit and event."""
        return not self.differences


def take_cut(
    state: MetricState,
    *,
    tenant: str,
    window: str,
    next_offset: int,
    by: tuple[str, ...],
    where: Mapping[str, object],
) -> Cut:
    """Read one window of a refreshed state."""
    start_us, end_us = state.bounds(window)
    cells = {
        dimensions: measure(state.plan, cell)
        for dimensions, cell in state.group(window, by=by, where=where).items()
    }
    return Cut(state.plan, tenant, window, start_us, end_us, next_offset, by, where, cells)


def question(cut: Cut) -> Question:
    """Return what to ask of the lake."""
    unbounded = cut.start_us == BEGINNING_US
    return Question(
        tenant=cut.tenant,
        start_us=None if unbounded else cut.start_us,
        end_us=None if unbounded else cut.end_us,
        by=cut.by,
        where=cut.where,
        up_to_offset=cut.next_offset,
    )


def compare(cut: Cut, rows: Iterable[MetricRow]) -> Check:
    """Compare a cut with the answer to its `question`."""
    recomputed = {row.dimensions: row for row in rows if row.events}
    differences = []
    for dimensions in cut.cells.keys() | recomputed.keys():
        cell, row = cut.cells.get(dimensions), recomputed.get(dimensions)
        live = (cell.value, cell.events) if cell else (None, 0)
        again = (row.value, row.events) if row else (None, 0)
        if live != again:
            named = dict(zip(cut.by, dimensions, strict=True))
            differences.append(Difference(named, live[0], again[0], live[1], again[1]))
    return Check(cut, len(cut.cells.keys() | recomputed.keys()), differences)
