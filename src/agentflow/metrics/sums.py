"""Cells added up, by dimensions and in total: what a window shows, kept ready."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agentflow.metrics.evaluator import Cell, CellFunctions
from agentflow.metrics.plan import MetricPlan
from agentflow.metrics.shares import Union
from agentflow.metrics.state import Multiset

Key = tuple[object, ...]
Cells = dict[Key, Cell]
Merge = Callable[[Cell, Cell], None]


class Sum:
    """The cells of a window and their total (per currency); *holders* windows share it.

    Distinct values lie in the total, once, and a cell has a share in them.
    """

    __slots__ = ("_currency", "_distinct", "_empty", "_unions", "cells", "holders", "totals")

    def __init__(self, plan: MetricPlan, functions: CellFunctions) -> None:
        self.cells: Cells = {}
        self.totals: Cells = {}
        self.holders = 0
        self._empty = functions.empty
        currency = plan.currency
        self._currency = plan.dimensions.index(currency) if currency else None
        self._distinct = [n for n, atom in enumerate(plan.atoms) if atom.kind == "distinct"]
        self._unions: dict[Key, list[Union]] = {}

    def merge(self, dims: Key, cell: Cell, merge: Merge) -> None:
        """Merge a cell into the one of its dimensions, and into the total."""
        key = self._total_key(dims)
        mine = self.cells.get(dims)
        if mine is None:
            mine = self.cells[dims] = self._cell(key)
        merge(mine, cell)
        total = self.totals.get(key)
        if total is None:
            total = self.totals[key] = self._with(self._empty(), self._unions_of(key))
        merge(total, cell)
        if mine[-1] == 0:
            self._drop(dims, key)
        if total[-1] == 0:
            del self.totals[key]

    def _total_key(self, dims: Key) -> Key:
        return () if self._currency is None else (dims[self._currency],)

    def _unions_of(self, key: Key) -> list[Union]:
        unions = self._unions.get(key)
        if unions is None:
            unions = self._unions[key] = [Union() for _ in self._distinct]
        return unions

    def _cell(self, key: Key) -> Cell:
        if not self._distinct:
            return self._empty()
        return self._with(self._empty(), [union.share() for union in self._unions_of(key)])

    def _with(self, cell: Cell, parts: Iterable[object]) -> Cell:
        for index, part in zip(self._distinct, parts, strict=True):
            cell[index] = part
        return cell

    def _drop(self, dims: Key, key: Key) -> None:
        cell = self.cells.pop(dims)
        for index in self._distinct:
            cell[index].union.release(cell[index])
        if self._distinct and not self._unions[key][0].shares:
            del self._unions[key]

    def copy(self) -> Sum:
        """Return another sum of the same cells, held by nobody."""
        own = Sum.__new__(Sum)
        own.holders = 0
        own._empty, own._currency, own._distinct = self._empty, self._currency, self._distinct
        own._unions = {key: [one.copy() for one in unions] for key, unions in self._unions.items()}
        own.totals = {
            key: own._with(_copied(cell), own._unions_of(key)) for key, cell in self.totals.items()
        }
        own.cells = {dims: own._moved(dims, cell) for dims, cell in self.cells.items()}
        return own

    def _moved(self, dims: Key, cell: Cell) -> Cell:
        if not self._distinct:
            return _copied(cell)
        unions = self._unions[self._total_key(dims)]
        shares = [
            cell[index].moved(union) for index, union in zip(self._distinct, unions, strict=True)
        ]
        return self._with(_copied(cell), shares)

    def forget(self) -> None:
        """Give back the memory of having looked at the values of single cells."""
        for unions in self._unions.values():
            for union in unions:
                union.forget()


def _copied(cell: Cell) -> Cell:
    return [part.copy() if isinstance(part, Multiset) else part for part in cell]
