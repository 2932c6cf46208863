"""Cells added up, by dimensions and in total: what a window shows, kept ready."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from copy import copy
from typing import Protocol, TypeVar

from agentflow.metrics.distincts import Distincts, Key
from agentflow.metrics.evaluator import Cell, CellFunctions, Delta
from agentflow.metrics.key_order import KeyOrder
from agentflow.metrics.state import Multiset

Cells = dict[Key, Cell]
_Held = TypeVar("_Held", Cell, Delta)


class CellListener(Protocol):
    """Looks at cells while they move."""

    def changing(self, dims: Key) -> None:
        """Look at a cell before it changes."""
        ...


class WindowCells:
    """The cells of a window and their total (per currency); *holders* windows share it.

    Distinct values are not in here: all sums of a metric have them together, each in its *slot*.

    Attributes:
        listeners: They are told of a cell before it changes.
        order: The keys of the cells in order, once pages of them were asked for.
    """

    __slots__ = (
        "_distincts", "_functions", "cells", "holders", "listeners", "order", "slot", "totals",
    )  # fmt: skip

    def __init__(self, functions: CellFunctions, distincts: Distincts, slot: int) -> None:
        self.cells: Cells = {}
        self.totals: Cells = {}
        self.holders = 0
        self.slot = slot
        self.listeners: list[CellListener] = []
        self.order: KeyOrder | None = None
        self._functions = functions
        self._distincts = distincts

    def enter(self, dims: Key) -> Cell:
        """Return the cell of *dims*, made if there is none."""
        cell = self.cells.get(dims)
        if cell is None:
            cell = self.cells[dims] = self._functions.empty()
            if self.order is not None:
                self._reorder(dims, there=True)
            if self._distincts.atoms:
                self._distincts.fill(cell, self._distincts.enter(dims, self.slot))
        return cell

    def merge(self, dims: Key, cell: _Held, merge: Callable[[Cell, _Held], None]) -> None:
        """Merge a cell into the one of its dimensions and into the total; `settle` it then."""
        if self.listeners:
            for scan in self.listeners:
                scan.changing(dims)
        merge(self.enter(dims), cell)
        key = self._distincts.total_key(dims)
        total = self.totals.get(key)
        if total is None:
            total = self.totals[key] = self._functions.empty()
            if self._distincts.atoms:
                self._distincts.fill(total, self._distincts.total(key, self.slot))
        merge(total, cell)
        if total.events == 0:
            del self.totals[key]

    def settle(self, dims: Key) -> bool:
        """Drop the cell if no event is left in it; tell whether it was dropped."""
        if self.cells[dims].events:
            return False
        del self.cells[dims]
        if self.order is not None:
            self._reorder(dims, there=False)
        if self._distincts.atoms:
            self._distincts.leave(dims, self.slot)
        return True

    def shift(
        self, cells: Cells, merge: Callable[[Cell, Cell], None], *, sign: int
    ) -> Iterator[None]:
        """Merge the cells of a bucket that enters, or leaves; a cell in each step."""
        for dims, cell in cells.items():
            self.merge(dims, cell, merge)
            if self._distincts.atoms:
                self._distincts.shift(dims, cell, self.slot, sign=sign)
            self.settle(dims)
            yield

    def copy(self, slot: int) -> Generator[None, None, WindowCells]:
        """Return another sum of the same cells, without holders; a cell in each step."""
        distincts = self._distincts
        own = WindowCells(self._functions, distincts, slot)
        yield from distincts.copy_slot(self.slot, slot)
        for dims, cell in self.cells.items():
            entered = distincts.enter(dims, slot) if distincts.atoms else ()
            own.cells[dims] = distincts.fill(_copied(cell), entered)
            yield
        own.order = self.order.copy() if self.order is not None else None
        own.totals = {
            key: distincts.fill(_copied(cell), distincts.total(key, slot))
            for key, cell in self.totals.items()
        }
        return own

    def standing(self) -> Callable[[Cell], Cell]:
        """Return what makes a cell mergeable as it is now; see `Distincts.standing`."""
        return self._distincts.standing(self.slot)

    def _reorder(self, dims: Key, *, there: bool) -> None:
        if self.order is not None and not self.order.change(dims, there=there):
            self.order = None  # no page was asked for in a long time

    def forget(self) -> None:
        """Give back the memory of having looked at the values of single cells."""
        self._distincts.forget()


def _copied(cell: Cell) -> Cell:
    own = copy(cell)
    for atom, part in enumerate(cell.parts()):
        if isinstance(part, Multiset):
            own[atom] = part.copy()
    return own
