"""The live state of one metric for one tenant: buckets by age, and a running cell per window.

Events only touch `deltas`, one dict entry per five seconds and dimension values. `refresh` folds
those into buckets and windows. Buckets grow coarser with age, as far as the windows allow, so
memory depends on time and dimensions and never on the number of events. Windows are kept as running
totals: a bucket is added when it enters and subtracted when it leaves, so a read is flat in volume.

A metric may have very many cells, and a bucket of all of them may leave a window at once. So all of
this is done in steps of a cell, in `refreshing`; while some are left, events wait in `deltas`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from agentflow.metrics.distincts import Distincts, Key
from agentflow.metrics.evaluator import BUCKET_US, Cell, CellFunctions, Delta
from agentflow.metrics.groups import GroupPage, Groups
from agentflow.metrics.image import image, restored
from agentflow.metrics.key_order import KeyOrder
from agentflow.metrics.plan import MetricPlan
from agentflow.metrics.tiers import Tiers
from agentflow.metrics.window_cells import Cells, WindowCells
from agentflow.metrics.windows import Window

MAX_DELTAS = 4_000
_END: Final = object()
CAUSES_KEPT = 64
"""More than an answer shows: it names those of its own cell and window."""
DEPARTED_KEPT = 1_000
"""How many cells without events are remembered: a question about one is not a typing error."""


class StateImage(msgspec.Struct, frozen=True, array_like=True):
    """A metric's state as plain values, for a snapshot file; cells are bytes already."""

    moves: int
    now_us: int
    tiers: list[tuple[int, int, list[tuple[int, bytes]]]]
    unbounded: dict[str, bytes]


class _Running:
    """One window and the sum of all buckets inside it.

    Windows that hold the same events share one sum: in its first hour a platform adds an event to
    `1h`, `24h`, `today`, `7d` and `all` once, and keeps its values once. A window gets a sum of its
    own when it first differs, and never shares again.

    Attributes:
        expiries: How often events left or entered it because time passed.
    """

    __slots__ = ("end_us", "expiries", "start_us", "sum", "window")

    def __init__(self, window: Window, now_us: int, shared: WindowCells) -> None:
        self.window = window
        self.expiries = 0
        self.start_us, self.end_us = window.bounds(now_us)
        self.hold(shared)

    def hold(self, shared: WindowCells) -> None:
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
        "_departed", "_distincts", "_functions", "_now_us", "_outermost", "_running", "_slots",
        "_tiers", "_work", "announced", "causes", "deltas", "moves", "plan",
    )  # fmt: skip

    def __init__(self, plan: MetricPlan, functions: CellFunctions, *, now_us: int) -> None:
        self.plan = plan
        self.deltas: dict[Key, Delta] = {}
        self.moves = 0
        self.announced = 0
        self.causes: deque[object] = deque(maxlen=CAUSES_KEPT)
        self._functions = functions
        self._now_us = now_us
        self._distincts = Distincts(plan)
        self._departed: dict[Key, None] = {}
        self._slots = 0
        self._work: Iterator[None] | None = None
        everything = self._new_sum()
        self._running = {
            window.name: _Running(window, now_us, everything) for window in plan.windows
        }
        self._outermost = self._longest()
        self._tiers = Tiers(plan.windows, functions)
        _all(self._tiers.demote(now_us))

    def _longest(self) -> _Running | None:
        """Return the window that events leave last; None if there is one that they never leave."""
        if not all(running.window.step_us for running in self._running.values()):
            return None
        return max(self._running.values(), key=lambda one: one.window.length_us, default=None)

    def _new_sum(self) -> WindowCells:
        self._slots += 1
        return WindowCells(self._functions, self._distincts, self._slots - 1)

    def under(self, plan: MetricPlan) -> MetricState:
        """Go on under another plan of the same meaning (its wording or status may differ)."""
        self.plan = plan
        return self

    # -- writing

    def refresh(self, now_us: int) -> None:
        """Fold what happened into buckets and windows, then move the windows to *now_us*.

        Time never runs backwards: an earlier *now_us* is read as the latest one seen.
        """
        _all(self.refreshing(now_us))

    def refreshing(self, now_us: int) -> Iterator[None]:
        """Do what `refresh` does, a cell in each step; nothing may be read until all are done.

        Others may go on with the same work meanwhile, and finish it. It can be left at any step.
        """
        while self._work is not None or self.deltas or now_us > self._now_us:
            if self._work is None:
                self._work = self._refresh(now_us)
            work = self._work
            try:
                yield from iter(work.__next__, _END)  # leaving it ends nothing, unlike a generator
            except Exception:
                self._work = None
                raise
            if self._work is work:
                self._work = None

    def _refresh(self, now_us: int) -> Iterator[None]:
        if self.deltas:
            yield from self._fold()
        if now_us > self._now_us:
            self._now_us = now_us
            yield from self._advance(now_us)

    def _fold(self) -> Iterator[None]:
        deltas, self.deltas = self.deltas, {}
        add_delta = self._functions.add_delta
        merge = self._tiers.merge
        places = yield from self._places({key[0] for key in deltas})
        for key, delta in deltas.items():
            held, sums = places[key[0]]
            dims = key[1:]
            if held is not None:
                merge(held, dims, delta, add_delta)
            for one in sums:
                one.merge(dims, delta, add_delta)
            if self._distincts.atoms and sums:
                self._distincts.add(dims, delta, tuple([one.slot for one in sums]))
            for one in sums:
                if one.settle(dims):
                    self._depart(dims)
            if not sums:  # it is in no window
                self._depart(dims)
            yield

    def _depart(self, dims: Key) -> None:
        """Remember a cell in which there were events; the oldest is forgotten."""
        self._departed[dims] = None
        if len(self._departed) > DEPARTED_KEPT:
            del self._departed[next(iter(self._departed))]

    def _places(
        self, buckets: Iterable[Any]
    ) -> Generator[None, None, dict[object, tuple[Cells | None, list[WindowCells]]]]:
        """Return where events of each time count: their bucket, and the sums of their windows.

        All windows are parted before anything is added, for parting copies what is there.
        """
        inside = {bucket: self._windows_at(bucket * BUCKET_US) for bucket in buckets}
        for windows in inside.values():
            yield from self._apart(windows)
        places = {}
        for bucket, windows in inside.items():
            sums = yield from self._apart(windows)
            places[bucket] = (self._tiers.bucket(bucket * BUCKET_US), sums)
        return places

    def _windows_at(self, start_us: int) -> list[_Running]:
        return [
            running
            for running in self._running.values()
            if running.start_us <= start_us < running.end_us
        ]

    def _apart(self, windows: list[_Running]) -> Generator[None, None, list[WindowCells]]:
        """Return the sums of *windows*, each once, after parting them from all other windows."""
        sharing: dict[int, list[_Running]] = {}
        for running in windows:
            sharing.setdefault(id(running.sum), []).append(running)
        sums = []
        for holders in sharing.values():
            held = holders[0].sum
            if held.holders > len(holders):
                self._slots += 1
                own = yield from held.copy(self._slots - 1)
                held.holders -= len(holders)
                for running in holders:
                    running.hold(own)
                held = own
            sums.append(held)
        return sums

    def _advance(self, now_us: int) -> Iterator[None]:
        for running in self._running.values():
            bounds = running.window.bounds(now_us)
            if bounds == (running.start_us, running.end_us):
                continue
            leaving, entering = self._crossing(running, bounds)
            if leaving or entering:
                (own,) = yield from self._apart([running])
                for cells in leaving:
                    yield from own.shift(cells, self._functions.subtract, sign=-1)
                for cells in entering:
                    yield from own.shift(cells, self._functions.add, sign=1)
                running.expiries += len(leaving) + len(entering)
                if running is self._outermost:
                    for dims in (dims for cells in leaving for dims in cells):
                        if dims not in own.cells:
                            self._depart(dims)
                        yield
            running.start_us, running.end_us = bounds
        yield from self._tiers.demote(now_us)

    def _crossing(
        self, running: _Running, bounds: tuple[int, int]
    ) -> tuple[list[Cells], list[Cells]]:
        """Return the buckets that leave a window, and those that enter, as it moves to *bounds*."""
        start_us, end_us = bounds
        left = (running.start_us, min(start_us, running.end_us))
        entered = (max(running.end_us, start_us), end_us)
        return list(self._tiers.between(*left)), list(self._tiers.between(*entered))

    @property
    def behind(self) -> bool:
        """Whether so much happened that it should be folded in before the next read."""
        return len(self.deltas) > MAX_DELTAS or self._work is not None

    def laborious(self, now_us: int, *, most: int) -> bool:
        """Tell whether a refresh may take more than *most* steps."""
        if self._work is not None or len(self.deltas) > most:
            return True
        if max(len(running.sum.cells) for running in self._running.values()) <= most:
            return False
        return self._toil(now_us) > most

    def _toil(self, now_us: int) -> int:
        """Return how many steps a refresh may take, at most."""
        steps = len(self.deltas)
        apart: set[str] = set()
        if now_us > self._now_us:
            for running in self._running.values():
                bounds = running.window.bounds(now_us)
                if bounds != (running.start_us, running.end_us):
                    leaving, entering = self._crossing(running, bounds)
                    steps += sum(map(len, leaving)) + sum(map(len, entering))
                    if leaving or entering:
                        apart.add(running.window.name)
            steps += self._tiers.width(now_us)
        for bucket in {key[0] for key in self.deltas}:
            inside = {each.window.name for each in self._windows_at(bucket * BUCKET_US)}  # type: ignore[operator]
            apart |= inside if len(inside) < len(self._running) else set()
        return steps + sum(
            len(running.sum.cells)
            for name, running in self._running.items()
            if name in apart and running.sum.holders > 1
        )

    # -- persistence

    def dump(self) -> StateImage:
        """Return everything `load` needs, as plain values; call `refresh` first."""
        tiers = [
            (
                tier.width_us,
                tier.floor_us,
                [(at, image(cells)) for at, cells in tier.buckets.items()],
            )
            for tier in self._tiers
        ]
        unbounded = {
            name: _image_of(running.sum)
            for name, running in self._running.items()
            if running.window.step_us == 0
        }
        return StateImage(self.moves, self._now_us, tiers, unbounded)

    def load(self, content: StateImage) -> None:
        """Take over a dumped state of the same plan."""
        self.moves = self.announced = content.moves
        self._now_us = max(self._now_us, content.now_us)
        empty = self._functions.empty
        self._tiers.load(
            (floor_us, {at: dict(restored(cells, empty)) for at, cells in buckets})
            for _, floor_us, buckets in content.tiers
        )
        self._distincts, self._slots = Distincts(self.plan), 0
        shared: dict[object, WindowCells] = {}
        for name, running in self._running.items():
            running.start_us, running.end_us = running.window.bounds(self._now_us)
            if running.window.step_us == 0:
                parts = [dict(restored(content.unbounded[name], empty))]
                held: object = name
            else:
                parts = list(self._tiers.between(running.start_us, running.end_us))
                held = tuple(map(id, parts))
            if held not in shared:
                shared[held] = self._new_sum()
                for cells in parts:
                    _all(shared[held].shift(cells, self._functions.add, sign=1))
            running.hold(shared[held])
        _all(self._tiers.demote(self._now_us))

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
        if names == tuple(self.plan.dimensions) and not wanted:  # the cells are the groups
            groups = {key: cell for key, cell in running.sum.cells.items() if cell.events}
            running.sum.forget()
            return groups
        positions = [self.plan.dimensions.index(name) for name in names]
        checks = [(self.plan.dimensions.index(name), value) for name, value in wanted.items()]
        groups = {}
        copied: set[Key] = set()
        for dims, cell in running.sum.cells.items():
            if all(dims[position] == value for position, value in checks):
                key = tuple(dims[position] for position in positions)
                self._gather(groups, key, cell, copied)
        running.sum.forget()
        return {key: cell for key, cell in groups.items() if cell.events}

    def groups(
        self,
        window: str,
        *,
        by: Sequence[str],
        where: Mapping[str, object],
        page: GroupPage | None = None,
    ) -> Groups:
        """Begin to read the groups of a window as they stand, little by little; see `Groups`.

        Call `refresh` first.
        """
        held = self._running[window].sum
        return Groups(self.plan, self._functions, held, by=by, where=where, page=page)

    def order(self, window: str) -> KeyOrder:
        """Return the keys of a window's cells in order, to be brought up to date by its steps."""
        held = self._running[window].sum
        if held.order is None:
            held.order = KeyOrder(held.cells)
        return held.order

    def width(self, window: str) -> int:
        """Return how many cells a window holds."""
        return len(self._running[window].sum.cells)

    def cell(self, window: str, dims: Key) -> tuple[Cell, ...]:
        """Return the cell of these dimension values, if there is one; not to be changed."""
        held = self._running[window].sum.cells.get(dims)
        return () if held is None else (held,)

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

    def values(self, dimension: str) -> set[object]:
        """Return the values of a dimension in all windows; it takes a look at every cell."""
        position = self.plan.dimensions.index(dimension)
        sums = {id(running.sum): running.sum for running in self._running.values()}
        return {dims[position] for one in sums.values() for dims in one.cells}

    def departed(self, dimension: str) -> set[object]:
        """Return the values of a dimension in cells whose events were corrected or are too old.

        Not all of them: the newest `DEPARTED_KEPT` cells, since the process started.
        """
        position = self.plan.dimensions.index(dimension)
        return {dims[position] for dims in self._departed}

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


def _all(steps: Iterator[None]) -> None:
    deque(steps, maxlen=0)


def _image_of(held: WindowCells) -> bytes:
    content = image(held.cells)
    held.forget()
    return content
