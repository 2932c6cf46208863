"""Live equals recompute: the permanent check of every metric against the lake.

A cut of the live engine is taken at one instant; the lake is brought to the same log offset; each
metric is computed again from events by DuckDB and compared cell by cell, exactly. The recompute
knows nothing of the live state but the question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from agentflow.metrics import MetricPlan, MetricState, MetricValue, measure
from agentflow.metrics.arithmetic import ExactValue
from agentflow.metrics.sql import QuerySpec
from agentflow.metrics.windows import BEGINNING_US
from processing.history import MetricRow
from processing.runtime.slices import at_once

Dimensions = tuple[object, ...]
MOST_DIFFERENCES: Final = 100
"""More are only counted: when one number is wrong, often all are."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One window of one metric as it was when the cut was taken."""

    plan: MetricPlan
    tenant: str
    window: str
    start_us: int
    end_us: int
    next_offset: int
    by: tuple[str, ...]
    where: Mapping[str, object]
    cells: Mapping[Dimensions, MetricValue]


@dataclass(frozen=True, slots=True)
class Compared:
    """One number, live and computed again; None where one side has nothing."""

    dimensions: Mapping[str, object]
    live: ExactValue
    recomputed: ExactValue
    live_events: int
    recomputed_events: int

    @property
    def equal(self) -> bool:
        """Whether both are the same, to the last digit and event."""
        return (self.live, self.live_events) == (self.recomputed, self.recomputed_events)


@dataclass(frozen=True, slots=True)
class Check:
    """The comparison of one cut.

    Attributes:
        cut: What was compared; its cells are let go.
        numbers: How many cells were compared.
        events: How many events the live ones are made of.
        differing: How many of them differ.
        differences: Those that differ, at most `MOST_DIFFERENCES`.
        totals: The numbers over all cells: one, or one for each currency. Of a check that could not
            be done they are what was live, beside nothing.
        seconds: How long it took.
        failure: Why it could not be done; None when it was.
    """

    cut: Cut
    numbers: int
    events: int = 0
    differing: int = 0
    differences: Sequence[Compared] = ()
    totals: Sequence[Compared] = ()
    seconds: float = 0.0
    failure: str | None = None

    @property
    def equal(self) -> bool:
        """Whether every number is equal, to the last digit and event."""
        totals_equal = all(total.equal for total in self.totals)
        return self.failure is None and not self.differing and totals_equal


class Cutting:
    """A cut that is being taken: of the instant at which it began, whatever moves meanwhile.

    Go through `steps`, then ask for the `cut`; `close` it in any case.
    """

    def __init__(
        self,
        state: MetricState,
        *,
        tenant: str,
        window: str,
        next_offset: int,
        by: tuple[str, ...],
        where: Mapping[str, object],
    ) -> None:
        """Begin with one window of a refreshed state."""
        plan = state.plan
        start_us, end_us = state.bounds(window)
        self._groups = state.groups(window, by=by, where=where)
        self._cut = Cut(
            plan, tenant, window, start_us, end_us, next_offset, by, where, self._groups.found
        )
        self._nothing = measure(plan, state.merged(()))

    def steps(self) -> Iterator[None]:
        """Measure, a cell in each step."""
        return self._groups.steps()

    @property
    def cut(self) -> Cut:
        """What was there."""
        if not self._cut.by and not self._groups.found:
            return self.nothing
        return self._cut

    @property
    def nothing(self) -> Cut:
        """The cut of nothing, which has a value: 0, or null."""
        return replace(self._cut, by=(), cells={(): self._nothing})

    def close(self) -> None:
        """Measure nothing any more."""
        self._groups.close()


def take_cut(
    state: MetricState,
    *,
    tenant: str,
    window: str,
    next_offset: int,
    by: tuple[str, ...],
    where: Mapping[str, object],
) -> Cut:
    """Read one window of a refreshed state at once."""
    cutting = Cutting(
        state, tenant=tenant, window=window, next_offset=next_offset, by=by, where=where
    )
    at_once(cutting.steps())
    return cutting.cut


def question(cut: Cut) -> QuerySpec:
    """Return what to ask of the lake."""
    unbounded = cut.start_us == BEGINNING_US
    return QuerySpec(
        tenant=cut.tenant,
        start_us=None if unbounded else cut.start_us,
        end_us=None if unbounded else cut.end_us,
        by=cut.by,
        where=cut.where,
        up_to_offset=cut.next_offset,
    )


def compare(cut: Cut, rows: Iterable[MetricRow]) -> Check:
    """Compare a cut with the answer to its `question`."""
    numbers = events = differing = 0
    kept: list[Compared] = []
    for pair in paired(cut, rows):
        numbers += 1
        events += pair.live_events
        if not pair.equal:
            differing += 1
            if len(kept) < MOST_DIFFERENCES:
                kept.append(pair)
    return Check(replace(cut, cells={}), numbers, events, differing, kept)


def paired(cut: Cut, rows: Iterable[MetricRow]) -> Iterator[Compared]:
    """Put every number of a cut beside the recomputed one, one after another."""
    left = dict.fromkeys(cut.cells)
    for row in rows:
        if row.events or not cut.by:
            left.pop(row.dimensions, None)
            yield _pair(cut, row.dimensions, row)
    for dimensions in left:
        yield _pair(cut, dimensions, None)


def _pair(cut: Cut, dimensions: Dimensions, row: MetricRow | None) -> Compared:
    cell = cut.cells.get(dimensions)
    live = (cell.value, cell.events) if cell else (None, 0)
    again = (row.value, row.events) if row else (None, 0)
    named = dict(zip(cut.by, dimensions, strict=True))
    return Compared(named, live[0], again[0], live[1], again[1])
