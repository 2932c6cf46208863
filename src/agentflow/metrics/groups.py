"""The groups of one window at one instant, read little by little while events go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentflow.metrics.distincts import Key
from agentflow.metrics.evaluator import Cell, CellFunctions
from agentflow.metrics.key_order import KeyOrder
from agentflow.metrics.plan import MetricPlan
from agentflow.metrics.reading import MetricValue, measure
from agentflow.metrics.scan import Scan
from agentflow.metrics.window_cells import Cells, WindowCells


@dataclass(frozen=True, slots=True)
class GroupPage:
    """Which groups are wanted: so many, in order, behind the group *after*."""

    after: Key | None
    limit: int


class Groups:
    """What the groups of a window are, all of this instant. Go through `steps`, then `close`.

    Attributes:
        found: The groups that hold an event: all, or those of the page, in order.
        left_out: How many groups come after the page.
        events: How many events are in all groups.
        units: The values of the currency dimension in all groups, where the metric has one.
        total: The number over all groups; None where they are of several currencies. Not made for
            groups that come without a page, unless it is kept ready.
        looks: How many cells are looked at: what it costs.
    """

    def __init__(
        self,
        plan: MetricPlan,
        functions: CellFunctions,
        held: WindowCells,
        *,
        by: Sequence[str],
        where: Mapping[str, object],
        page: GroupPage | None = None,
    ) -> None:
        """Begin.

        Args:
            plan: The metric.
            functions: How its cells merge.
            held: The sum of the window.
            by: Dimensions to group by.
            where: Wanted values of dimensions.
            page: Which groups to read; all of them unless told.
        """
        self.found: dict[Key, MetricValue] = {}
        self.left_out = self.looks = self.events = 0
        self.units: set[object] = set()
        self.total: MetricValue | None = None
        self._plan, self._functions, self._page = plan, functions, page
        self._by, self._where = tuple(by), where
        self._gathered: Cells = {}
        self._scan: Scan | None = None
        ready = (plan.currency,) if plan.currency else ()
        if set(where) <= set(ready):
            wanted = tuple(where.values())
            totals = {key: cell for key, cell in held.totals.items() if not where or key == wanted}
            self.events = sum(cell.events for cell in totals.values())
            self.units = {key[0] for key in totals} if ready else set()
            if len(totals) <= 1:
                self.total = measure(plan, next(iter(totals.values()), functions.empty()))
            if self._by == ready:
                self._gathered = totals
                for _ in self._read():
                    pass
                self._gathered = {}
                return
        if self._by == plan.dimensions and not where:  # the cells are the groups
            self._scan_cells(held)
            return
        self._positions = [plan.dimensions.index(name) for name in by]
        self._wanted = [(plan.dimensions.index(name), value) for name, value in where.items()]
        self._standing = held.standing()
        only: list[Key] | None = None
        if len(where) == len(plan.dimensions):
            dims = tuple(where[name] for name in plan.dimensions)
            only = [dims] if dims in held.cells else []
        self.looks = len(held.cells) if only is None else len(only)
        self._scan = Scan(held, self._gather, only=only)

    def _scan_cells(self, held: WindowCells) -> None:
        keys: Sequence[Key] | None = None
        if self._page is not None:
            if held.order is None:
                held.order = KeyOrder(held.cells)
            keys, self.left_out = held.order.page(self._page.after, self._page.limit)
            self.found = dict.fromkeys(keys, MetricValue(None, 0))  # in order
        self.looks = len(held.cells) if keys is None else len(keys)
        self._scan = Scan(held, self._take, only=keys)

    def steps(self) -> Iterator[None]:
        """Read, a cell or a group in each step."""
        if self._scan is None:
            return
        yield from self._scan.steps()
        self.close()
        if self._gathered:
            yield from self._read()
        elif self.total is None and not self.units:
            self.total = measure(self._plan, self._functions.empty())

    def close(self) -> None:
        """Follow no changes any more."""
        if self._scan is not None:
            self._scan.close()
            self._scan = None

    def _take(self, key: Key, cell: Cell) -> None:
        if cell.events:
            self.found[key] = measure(self._plan, cell)

    def _gather(self, dims: Key, cell: Cell) -> None:
        for position, value in self._wanted:
            if dims[position] != value:
                return
        key = tuple([dims[position] for position in self._positions])
        held = self._gathered.get(key)
        if held is None:
            held = self._gathered[key] = self._functions.empty()
        self._functions.add(held, self._standing(cell))

    def _read(self) -> Iterator[None]:
        """Measure the gathered groups of the page, and add all of them up."""
        held = {key: cell for key, cell in self._gathered.items() if cell.events}
        self.events = sum(cell.events for cell in held.values())
        keys: Sequence[Key] = list(held)
        if self._page is not None:
            order = KeyOrder(held)
            yield from order.steps()
            keys, self.left_out = order.page(self._page.after, self._page.limit)
        for key in keys:
            self._take(key, held[key])
            yield
        currency = self._plan.currency
        if currency is not None and currency in self._by:
            self.units = {key[self._by.index(currency)] for key in held}
        if self._page is None or self.total is not None or len(self.units) > 1:
            return
        total = self._functions.empty()
        for cell in held.values():
            self._functions.add(total, cell)
            yield
        self.total = measure(self._plan, total)
