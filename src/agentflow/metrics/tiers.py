"""Buckets of event time that grow coarser with age, as far as a metric's windows allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from agentflow.metrics.distincts import Key
from agentflow.metrics.evaluator import Cell, CellFunctions
from agentflow.metrics.state import Counted
from agentflow.metrics.sums import Cells, Merge
from agentflow.metrics.windows import MINUTE_US, Window

_REST_AFTER_US = MINUTE_US
"""How long ago a bucket must have ended before its values are packed."""


class Tier:
    """Buckets of one width; those that start before `floor_us` live in the next, wider tier."""

    __slots__ = ("buckets", "floor_us", "retain_us", "width_us")

    def __init__(self, width_us: int, retain_us: int) -> None:
        self.width_us = width_us
        self.retain_us = retain_us
        self.floor_us = -(2**62)
        self.buckets: dict[int, Cells] = {}

    def bucket(self, start_us: int) -> Cells:
        """Return the bucket an instant lies in."""
        return self.buckets.setdefault(start_us - start_us % self.width_us, {})


class Tiers:
    """All buckets of one metric; a bucket moves to a wider tier once no window can cut it."""

    __slots__ = ("_functions", "_rested_us", "_tiers")

    def __init__(self, windows: Sequence[Window], functions: CellFunctions) -> None:
        self._functions = functions
        self._rested_us = 0
        self._tiers = _widening(windows)

    def __iter__(self) -> Iterator[Tier]:
        """Go from the finest to the widest."""
        return iter(self._tiers)

    def bucket(self, start_us: int) -> Cells | None:
        """Return the bucket of an instant; None when it is older than every bounded window."""
        for tier in self._tiers:
            if start_us >= tier.floor_us:
                return tier.bucket(start_us)
        return None  # only `all` remembers

    def between(self, start_us: int, end_us: int) -> Iterator[Cells]:
        """Yield the buckets that start in a range; a window always cuts between buckets."""
        for tier in self._tiers:
            for bucket_us, cells in tier.buckets.items():
                if start_us <= bucket_us < end_us and cells:
                    yield cells

    def merge(self, cells: Cells, dims: Key, cell: Cell, merge: Merge) -> None:
        """Merge a cell into a bucket's; one that holds no event any more is gone."""
        mine = cells.get(dims)
        if mine is None:
            mine = cells[dims] = self._functions.empty()
        merge(mine, cell)
        if mine[-1] == 0:
            del cells[dims]

    def demote(self, now_us: int) -> None:
        """Move what has become old enough into the next tier, or drop it after the last."""
        for index, tier in enumerate(self._tiers):
            wider = self._tiers[index + 1] if index + 1 < len(self._tiers) else None
            width_us = wider.width_us if wider else tier.width_us
            floor_us = now_us - tier.retain_us
            floor_us -= floor_us % width_us
            if floor_us <= tier.floor_us:
                continue
            tier.floor_us = floor_us
            for start_us in [start for start in tier.buckets if start < floor_us]:
                cells = tier.buckets.pop(start_us)
                if wider is not None and start_us >= wider.floor_us:
                    into = wider.bucket(start_us)
                    for dims, cell in cells.items():
                        self.merge(into, dims, cell, self._functions.add)
        if now_us - self._rested_us >= MINUTE_US:
            self._rested_us = now_us
            self._rest(now_us - _REST_AFTER_US)

    def _rest(self, before_us: int) -> None:
        """Pack the values of buckets that have ended: few events come as late as that."""
        for tier in self._tiers:
            if tier.width_us < MINUTE_US:
                continue  # they are few, and soon merged
            for start_us, cells in tier.buckets.items():
                if start_us + tier.width_us <= before_us:
                    for cell in cells.values():
                        for part in cell:
                            if isinstance(part, Counted):
                                part.rest()


def _widening(windows: Iterable[Window]) -> list[Tier]:
    """Return one tier per step in use, each kept as long as its windows need it."""
    bounded = [window for window in windows if window.step_us]
    steps = sorted({window.step_us for window in bounded})
    tiers = []
    for step_us in steps:
        longest = max(window.length_us for window in bounded if window.step_us <= step_us)
        tiers.append(Tier(step_us, longest + 2 * step_us))
    return tiers
