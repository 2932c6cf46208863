"""Live equals recompute: the permanent check of every metric against the lake.

A cut of the live engine is taken at one instant; the lake is brought to the same log offset; each
metric is computed again from events by DuckDB and compared cell by cell, exactly. Where a live
state is rounded or sampled because it is large, the recompute rounds and samples the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentflow.metrics import Measured, MetricPlan, MetricState, measure
from agentflow.metrics.arithmetic import Value
from agentflow.metrics.reading import coarse_atoms, sampling_levels
from agentflow.metrics.sql import Question
from agentflow.metrics.windows import BEGINNING_US
from processing.history import MetricRow

Dimensions = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class LiveCell:
    """A live number, and how a recompute must round to be comparable."""

    measured: Measured
    coarse: frozenset[int]
    levels: Mapping[int, int]


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
    cells: Mapping[Dimensions, LiveCell]


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
        dimensions: LiveCell(measure(state.plan, cell), coarse_atoms(cell), sampling_levels(cell))
        for dimensions, cell in state.group(window, by=by, where=where).items()
    }
    return Cut(state.plan, tenant, window, start_us, end_us, next_offset, by, where, cells)


def questions(cut: Cut) -> list[Question]:
    """Return what to ask of the lake: one question, and one more for each approximated cell."""
    rough = [
        question(cut, dimensions, cell)
        for dimensions, cell in cut.cells.items()
        if cell.coarse or cell.levels
    ]
    return [question(cut, None, None), *rough]


def question(cut: Cut, dimensions: Dimensions | None, cell: LiveCell | None) -> Question:
    """Return the question for all cells of a cut, or for one approximated cell."""
    named = dict(zip(cut.by, dimensions, strict=True)) if dimensions is not None else {}
    return Question(
        tenant=cut.tenant,
        start_us=None if cut.start_us == BEGINNING_US else cut.start_us,
        end_us=None if cut.start_us == BEGINNING_US else cut.end_us,
        by=cut.by,
        where={**cut.where, **named},
        up_to_offset=cut.next_offset,
        coarse=cell.coarse if cell else frozenset(),
        levels=cell.levels if cell else {},
    )


def compare(cut: Cut, answers: Sequence[Sequence[MetricRow]]) -> Check:
    """Compare a cut with the answers to its `questions`, in the same order."""
    recomputed: dict[Dimensions, MetricRow] = {}
    for rows in answers:
        recomputed.update({row.dimensions: row for row in rows if row.events})
    differences = []
    for dimensions in cut.cells.keys() | recomputed.keys():
        cell, row = cut.cells.get(dimensions), recomputed.get(dimensions)
        live = (cell.measured.value, cell.measured.events) if cell else (None, 0)
        again = (row.value, row.events) if row else (None, 0)
        if live != again:
            named = dict(zip(cut.by, dimensions, strict=True))
            differences.append(Difference(named, live[0], again[0], live[1], again[1]))
    return Check(cut, len(cut.cells.keys() | recomputed.keys()), differences)
