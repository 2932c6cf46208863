"""The live state of one metric for one tenant: buckets by age, and a running cell per window.

Events only touch `deltas`, one dict entry per five seconds and dimension values. `refresh` folds
those into buckets and windows. Buckets grow coarser with age, as far as the windows allow, so
memory depends on time and dimensions and never on the number of events. Windows are kept as running
totals: a bucket is added when it enters and subtracted when it leaves, so a read is flat in volume.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from agentflow.metrics.evaluator import BUCKET_US, Cell, CellFunctions
from agentflow.metrics.plan import MetricPlan
from agentflow.metrics.state import Distinct, Multiset
from agentflow.metrics.windows import Window

Key = tuple[object, ...]
Cells = dict[Key, Cell]
MAX_DELTAS = 4_000
CAUSES_KEPT = 10
_LEAST, _GREATEST = -(2**63), 2**63 - 1


class StateImage(msgspec.Struct, frozen=True, array_like=True):
    """A metric's state as plain values, for a snapshot file."""

    moves: int
    now_us: int
    tiers: list[tuple[int, int, list[tuple[int, list[tuple[list[Any], list[Any]]]]]]]
    unbounded: dict[str, list[tuple[list[Any], list[Any]]]]


class _Tier:
    """Buckets of one width; those that start before `floor_us` live in the next, wider tier."""

    __slots__ = ("buckets", "floor_us", "retain_us", "width_us")

    def __init__(self, width_us: int, retain_us: int) -> None:
        self.width_us = width_us
        self.retain_us = retain_us
        self.floor_us = -(2**62)
        self.buckets: dict[int, Cells] = {}


class _Sum:
    """Cells added up, by cell and in total (per currency); *holders* windows share it."""

    __slots__ = ("cells", "holders", "totals")

    def __init__(self) -> None:
        self.cells: Cells = {}
        self.totals: Cells = {}
        self.holders = 0


class _Running:
    """One window and the sum of all buckets inside it.

    Windows that hold the same events share one sum: in its first hour a platform adds an event to
    `1h`, `24h`, `today`, `7d` and `all` once, and keeps its values once. A window gets a sum of its
    own when it first differs, and never shares again.

    Attributes:
        expiries: How often events left or entered it because time passed.
    """

    __slots__ = ("end_us", "expiries", "start_us", "sum", "window")

    def __init__(self, window: Window, now_us: int, shared: _Sum) -> None:
        self.window = window
        self.expiries = 0
        self.start_us, self.end_us = window.bounds(now_us)
        self.hold(shared)

    def hold(self, shared: _Sum) -> None:
        """Share *shared* from now on."""
        self.sum = shared
        shared.holders += 1


class MetricState:
    """One metric, one tenant. Not thread-safe: one thread moves and reads it.

    Attributes:
        deltas: What happened since the last refresh; generated movers write here.
        moves: How often an event moved (or a correction moved back) this metric: its revision.
        announced: The revision subscribers were last told of; for the engine.
        causes: The newest causes, oldest first.
    """

    __slots__ = (
        "_functions", "_now_us", "_running", "_tiers", "announced", "causes", "deltas", "moves",
        "plan",
    )  # fmt: skip

    def __init__(self, plan: MetricPlan, functions: CellFunctions, *, now_us: int) -> None:
        self.plan = plan
        self.deltas: Cells = {}
        self.moves = 0
        self.announced = 0
        self.causes: deque[object] = deque(maxlen=CAUSES_KEPT)
        self._functions = functions
        self._now_us = now_us
        everything = _Sum()
        self._running = {
            window.name: _Running(window, now_us, everything) for window in plan.windows
        }
        self._tiers = _tiers(plan.windows)
        self._demote(now_us)

    def under(self, plan: MetricPlan) -> MetricState:
        """Go on under another plan of the same meaning (its wording or status may differ)."""
        self.plan = plan
        return self

    # -- writing

    def refresh(self, now_us: int) -> None:
        """Fold what happened into buckets and windows, then move the windows to *now_us*.

        Time never runs backwards: an earlier *now_us* is read as the latest one seen.
        """
        if self.deltas:
            self._fold()
        if now_us > self._now_us:
            self._now_us = now_us
            self._advance(now_us)

    def _fold(self) -> None:
        deltas, self.deltas = self.deltas, {}
        add_delta = self._functions.add_delta
        places = self._places({key[0] for key in deltas})
        for key, delta in deltas.items():
            by_cell, in_total = places[key[0]]
            dims = key[1:]
            for cells in by_cell:
                self._merge(cells, dims, delta, add_delta)
            total = self._total_key(dims)
            for cells in in_total:
                self._merge(cells, total, delta, add_delta)

    def _places(self, buckets: Iterable[Any]) -> dict[object, tuple[list[Cells], list[Cells]]]:
        """Return where events of each time count: by cell, and in totals.

        All windows are parted before anything is added, for parting copies what is there.
        """
        inside = {bucket: self._windows_at(bucket * BUCKET_US) for bucket in buckets}
        for windows in inside.values():
            self._apart(windows)
        places = {}
        for bucket, windows in inside.items():
            sums = self._apart(windows)
            held = self._bucket(bucket * BUCKET_US)
            cells = [one.cells for one in sums]
            by_cell = cells if held is None else [held, *cells]
            places[bucket] = by_cell, [one.totals for one in sums]
        return places

    def _windows_at(self, start_us: int) -> list[_Running]:
        return [
            running
            for running in self._running.values()
            if running.start_us <= start_us < running.end_us
        ]

    def _apart(self, windows: list[_Running]) -> list[_Sum]:
        """Return the sums of *windows*, each once, after parting them from all other windows."""
        sharing: dict[int, list[_Running]] = {}
        for running in windows:
            sharing.setdefault(id(running.sum), []).append(running)
        sums = []
        for holders in sharing.values():
            held = holders[0].sum
            if held.holders > len(holders):
                held.holders -= len(holders)
                own = _Sum()
                own.cells = {key: self.merged((cell,)) for key, cell in held.cells.items()}
                own.totals = {key: self.merged((cell,)) for key, cell in held.totals.items()}
                for running in holders:
                    running.hold(own)
                held = own
            sums.append(held)
        return sums

    def _merge(self, cells: Cells, key: Key, cell: Cell, merge: object) -> None:
        mine = cells.get(key)
        if mine is None:
            mine = cells[key] = self._functions.empty()
        merge(mine, cell)  # type: ignore[operator]
        if mine[-1] == 0:
            del cells[key]

    def _total_key(self, dims: Key) -> Key:
        currency = self.plan.currency
        return (dims[self.plan.dimensions.index(currency)],) if currency else ()

    def _bucket(self, start_us: int) -> Cells | None:
        for tier in self._tiers:
            if start_us >= tier.floor_us:
                return tier.buckets.setdefault(start_us - start_us % tier.width_us, {})
        return None  # older than every bounded window: only `all` remembers

    def _advance(self, now_us: int) -> None:
        for running in self._running.values():
            start_us, end_us = running.window.bounds(now_us)
            if (start_us, end_us) == (running.start_us, running.end_us):
                continue
            left = (running.start_us, min(start_us, running.end_us))
            entered = (max(running.end_us, start_us), end_us)
            leaving, entering = list(self._between(*left)), list(self._between(*entered))
            if leaving or entering:
                (own,) = self._apart([running])
                for cells in leaving:
                    self._shift(own, cells, self._functions.subtract)
                for cells in entering:
                    self._shift(own, cells, self._functions.add)
                running.expiries += len(leaving) + len(entering)
            running.start_us, running.end_us = start_us, end_us
        self._demote(now_us)

    def _between(self, start_us: int, end_us: int) -> Iterator[Cells]:
        for tier in self._tiers:
            for bucket_us, cells in tier.buckets.items():
                if start_us <= bucket_us < end_us and cells:
                    yield cells

    def _shift(self, into: _Sum, cells: Cells, merge: object) -> None:
        for dims, cell in cells.items():
            self._merge(into.cells, dims, cell, merge)
            self._merge(into.totals, self._total_key(dims), cell, merge)

    def _demote(self, now_us: int) -> None:
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
                    into = wider.buckets.setdefault(start_us - start_us % width_us, {})
                    for dims, cell in cells.items():
                        self._merge(into, dims, cell, self._functions.add)

    # -- persistence

    def dump(self) -> StateImage:
        """Return everything `load` needs, as plain values; call `refresh` first."""
        tiers = [
            (
                tier.width_us,
                tier.floor_us,
                [(at, _images(cells)) for at, cells in tier.buckets.items()],
            )
            for tier in self._tiers
        ]
        unbounded = {
            name: _images(running.sum.cells)
            for name, running in self._running.items()
            if running.window.step_us == 0
        }
        return StateImage(self.moves, self._now_us, tiers, unbounded)

    def load(self, image: StateImage) -> None:
        """Take over a dumped state of the same plan."""
        self.moves = self.announced = image.moves
        self._now_us = max(self._now_us, image.now_us)
        for tier, (_, floor_us, buckets) in zip(self._tiers, image.tiers, strict=True):
            tier.floor_us = floor_us
            tier.buckets = {at: dict(self._cells(images)) for at, images in buckets}
        shared: dict[object, _Sum] = {}
        for name, running in self._running.items():
            running.start_us, running.end_us = running.window.bounds(self._now_us)
            if running.window.step_us == 0:
                parts = [dict(self._cells(image.unbounded[name]))]
                held: object = name
            else:
                parts = list(self._between(running.start_us, running.end_us))
                held = tuple(map(id, parts))
            if held not in shared:
                shared[held] = _Sum()
                for cells in parts:
                    self._shift(shared[held], cells, self._functions.add)
            running.hold(shared[held])
        self._demote(self._now_us)

    def _cells(self, images: Iterable[tuple[list[Any], list[Any]]]) -> Iterator[tuple[Key, Cell]]:
        for dims, parts in images:
            cell = self._functions.empty()
            for index, part in enumerate(parts):
                cell[index] = _restored(cell[index], part)
            yield tuple(dims), cell

    # -- reading

    def bounds(self, window: str) -> tuple[int, int]:
        """Return the `[start, end)` the window stands at since the last refresh."""
        running = self._running[window]
        return running.start_us, running.end_us

    def expiries(self, window: str) -> int:
        """Return how often events left or entered a window because time passed."""
        return self._running[window].expiries

    def group(
        self, window: str, *, by: Iterable[str] = (), where: Mapping[str, object] | None = None
    ) -> dict[Key, Cell]:
        """Return merged cells grouped by the dimensions *by*, for those that match *where*.

        Call `refresh` first, and do not change the cells: some are the state's own. Without `by`
        and `where` the answer is kept ready.
        """
        running, names = self._running[window], tuple(by)
        wanted = where or {}
        ready = (self.plan.currency,) if self.plan.currency else ()
        if names == ready and set(wanted) <= set(ready):
            return {
                key: cell
                for key, cell in running.sum.totals.items()
                if not wanted or key == tuple(wanted.values())
            }
        positions = [self.plan.dimensions.index(name) for name in names]
        checks = [(self.plan.dimensions.index(name), value) for name, value in wanted.items()]
        groups: Cells = {}
        copied: set[Key] = set()
        for dims, cell in running.sum.cells.items():
            if all(dims[position] == value for position, value in checks):
                key = tuple(dims[position] for position in positions)
                self._gather(groups, key, cell, copied)
        return {key: cell for key, cell in groups.items() if cell[-1]}

    def _gather(self, groups: Cells, key: Key, cell: Cell, copied: set[Key]) -> None:
        """Add a cell to its group; a group of one is the cell itself, and copying it is saved."""
        held = groups.get(key)
        if held is None:
            groups[key] = cell
            return
        if key not in copied:
            copied.add(key)
            groups[key] = self.merged((held,))
        self._functions.add(groups[key], cell)

    def pending(self, start_us: int, end_us: int) -> dict[Key, Cell]:
        """Return, by cell, what events in a range of event time changed since the last refresh.

        Unlike in a window, a cell stays when as many events left it as came.
        """
        cells: Cells = {}
        for key, delta in self.deltas.items():
            if start_us <= key[0] * BUCKET_US < end_us:  # type: ignore[operator]
                mine = cells.get(key[1:])
                if mine is None:
                    mine = cells[key[1:]] = self._functions.empty()
                self._functions.add_delta(mine, delta)
        return cells

    def merged(self, cells: Iterable[Cell]) -> Cell:
        """Return the sum of cells, as a new cell."""
        total = self._functions.empty()
        for cell in cells:
            self._functions.add(total, cell)
        return total

    def cell_count(self) -> int:
        """Return how many cells are held; what memory depends on."""
        tiers = sum(len(cells) for tier in self._tiers for cells in tier.buckets.values())
        return tiers + sum(len(running.sum.cells) for running in self._running.values())


def _images(cells: Cells) -> list[tuple[list[Any], list[Any]]]:
    return [(list(dims), [_image(part) for part in cell]) for dims, cell in cells.items()]


def _image(part: object) -> object:
    """Return a part of a cell as JSON-like values; decimals become text and stay exact."""
    match part:
        case Multiset():
            values = [[_image(value), number] for value, number in part.counts.items()]
            return [part.coarse, part.size, values]
        case Distinct():
            return [part.level, [[value, number] for value, number in part.counts.items()]]
        case Decimal():
            return str(part)
        case int() if not _LEAST <= part <= _GREATEST:
            return f"{part}#"
        case _:
            return part


def _number(image: Any) -> Any:  # noqa: ANN401 - decoded from the image
    """Return the number of an image: text is a decimal, or a whole one of more than 64 bits."""
    if not isinstance(image, str):
        return image
    return int(image[:-1]) if image.endswith("#") else Decimal(image)


def _restored(empty: object, image: Any) -> object:  # noqa: ANN401 - decoded from the image
    match empty:
        case Multiset():
            empty.coarse, empty.size = image[0], image[1]
            empty.counts = {_number(value): number for value, number in image[2]}
            return empty
        case Distinct():
            empty.level = image[0]
            empty.counts = dict(map(tuple, image[1]))
            return empty
        case _:
            return _number(image)


def _tiers(windows: Iterable[Window]) -> list[_Tier]:
    """Return one tier per step in use, each kept as long as its windows need it."""
    bounded = [window for window in windows if window.step_us]
    steps = sorted({window.step_us for window in bounded})
    tiers = []
    for step_us in steps:
        longest = max(window.length_us for window in bounded if window.step_us <= step_us)
        tiers.append(_Tier(step_us, longest + 2 * step_us))
    return tiers
