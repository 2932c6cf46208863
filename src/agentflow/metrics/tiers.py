"""Buckets of event time that grow coarser with age, as far as a metric's windows allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from agentflow.metrics.distincts import Key
from agentflow.metrics.evaluator import Cell, CellFunctions, Delta
from agentflow.metrics.state import CountedValues
from agentflow.metrics.window_cells import Cells
from agentflow.metrics.windows import MINUTE_US, Window

_Held = TypeVar("_Held", Cell, Delta)
_REST_AFTER_US = MINUTE_US
"""How long ago a bucket must have ended before its values are packed."""


class Tier:
    """Buckets of one width; those that start before `floor_us` live in the next, wider tier.

    Attributes:
        awake: Which buckets may have changed since their values were packed.
    """

    __slots__ = ("awake", "buckets", "floor_us", "retain_us", "width_us")

    def __init__(self, width_us: int, retain_us: int) -> None:
        self.width_us = width_us
        self.retain_us = retain_us
        self.floor_us = -(2**62)
        self.buckets: dict[int, Cells] = {}
        self.awake: set[int] = set()

    def bucket(self, start_us: int) -> Cells:
        """Return the bucket an instant lies in, to be changed."""
        bucket_us = start_us - start_us % self.width_us
        self.awake.add(bucket_us)
        return self.buckets.setdefault(bucket_us, {})


class Tiers:
    """All buckets of one metric; a bucket moves to a wider tier once no window can cut it."""

    __slots__ = ("_functions", "_rested_us", "_resting", "_tiers")

    def __init__(self, windows: Sequence[Window], functions: CellFunctions) -> None:
        self._functions = functions
        self._rested_us = 0
        self._resting = any(isinstance(part, CountedValues) for part in functions.empty().parts())
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

    def merge(
        self, cells: Cells, dims: Key, cell: _Held, merge: Callable[[Cell, _Held], None]
    ) -> None:
        """Merge a cell into a bucket's; one that holds no event any more is gone."""
        mine = cells.get(dims)
        if mine is None:
            mine = cells[dims] = self._functions.empty()
        merge(mine, cell)
        if mine.events == 0:
            del cells[dims]

    def load(self, content: Iterable[tuple[int, dict[int, Cells]]]) -> None:
        """Take over what each tier held: since when, and its buckets."""
        for tier, (floor_us, buckets) in zip(self._tiers, content, strict=True):
            tier.floor_us, tier.buckets, tier.awake = floor_us, buckets, set(buckets)

    def width(self, before_us: int) -> int:
        """Return how many cells are in buckets that a `demote` at this instant moves."""
        return sum(
            len(cells)
            for tier, _, floor_us in self._moving(before_us)
            for start_us, cells in tier.buckets.items()
            if start_us < floor_us
        )

    def _moving(self, now_us: int) -> Iterator[tuple[Tier, Tier | None, int]]:
        """Yield the tiers that move on, with the next wider one, and where they begin then."""
        for index, tier in enumerate(self._tiers):
            wider = self._tiers[index + 1] if index + 1 < len(self._tiers) else None
            width_us = wider.width_us if wider else tier.width_us
            floor_us = now_us - tier.retain_us
            floor_us -= floor_us % width_us
            if floor_us > tier.floor_us:
                yield tier, wider, floor_us

    def demote(self, now_us: int) -> Iterator[None]:
        """Move what has become old enough into the next tier, or drop it after the last.

        A cell in each step.
        """
        for tier, wider, floor_us in self._moving(now_us):
            tier.floor_us = floor_us
            for start_us in [start for start in tier.buckets if start < floor_us]:
                cells = tier.buckets.pop(start_us)
                tier.awake.discard(start_us)
                if wider is not None and start_us >= wider.floor_us:
                    into = wider.bucket(start_us)
                    for dims, cell in cells.items():
                        self.merge(into, dims, cell, self._functions.add)
                        yield
        if now_us - self._rested_us >= MINUTE_US:
            self._rested_us = now_us
            yield from self._rest(now_us - _REST_AFTER_US)

    def _rest(self, before_us: int) -> Iterator[None]:
        """Pack the values of buckets that have ended: few events come as late as that."""
        for tier in self._tiers:
            if tier.width_us < MINUTE_US:
                continue  # they are few, and soon merged
            ended = [start for start in tier.awake if start + tier.width_us <= before_us]
            tier.awake.difference_update(ended)
            for start_us in ended if self._resting else ():
                for cell in tier.buckets.get(start_us, {}).values():
                    for part in cell.parts():
                        if isinstance(part, CountedValues):
                            part.rest()
                    yield


def _widening(windows: Iterable[Window]) -> list[Tier]:
    """Return one tier per step in use, each kept as long as its windows need it."""
    bounded = [window for window in windows if window.step_us]
    steps = sorted({window.step_us for window in bounded})
    tiers = []
    for step_us in steps:
        longest = max(window.length_us for window in bounded if window.step_us <= step_us)
        tiers.append(Tier(step_us, longest + 2 * step_us))
    return tiers
