"""The distinct values of one metric: by total, and each cell's share in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy

from agentflow.metrics.distinct_values import (
    CellShare,
    CellValues,
    DistinctPart,
    DistinctValues,
    none_seen,
)
from agentflow.metrics.evaluator import Cell, Delta
from agentflow.metrics.plan import MetricPlan

Key = tuple[object, ...]


class Distincts:
    """One `DistinctValues` for every distinct atom and total; a slot for every sum of windows.

    Attributes:
        atoms: Which parts of a cell are distinct counts.
    """

    __slots__ = ("_currency", "_shares", "_slots", "_totals", "atoms")

    def __init__(self, plan: MetricPlan) -> None:
        self.atoms = [n for n, atom in enumerate(plan.atoms) if atom.kind == "distinct"]
        self._currency = plan.dimensions.index(plan.currency) if plan.currency else None
        self._slots = len(plan.windows)
        self._totals: dict[Key, list[DistinctValues]] = {}
        self._shares: dict[Key, tuple[CellShare, ...]] = {}

    def total_key(self, dims: Key) -> Key:
        """Return the total a cell belongs to: one, or one for each currency."""
        return () if self._currency is None else (dims[self._currency],)

    def total(self, key: Key, slot: int) -> list[DistinctPart]:
        """Return the parts of a total's cell."""
        return [DistinctPart(values, slot) for values in self._values(key)]

    def _values(self, key: Key) -> list[DistinctValues]:
        values = self._totals.get(key)
        if values is None:
            values = self._totals[key] = [
                DistinctValues(none_seen(self._slots)) for _ in self.atoms
            ]
        return values

    def enter(self, dims: Key, slot: int) -> list[DistinctPart]:
        """Return the parts of a new cell of a sum."""
        shares = self._shares.get(dims)
        if shares is None:
            values = self._values(self.total_key(dims))
            shares = self._shares[dims] = tuple([one.share() for one in values])
        for share in shares:
            share.holders += 1
        return [DistinctPart(share, slot) for share in shares]

    def leave(self, dims: Key, slot: int) -> None:
        """Forget a cell of a sum; the last one takes its shares along."""
        shares = self._shares[dims]
        for share in shares:
            share.values.clear(share, slot)
            share.holders -= 1
            if not share.holders:
                share.values.release(share)
        if shares and not shares[0].holders:
            del self._shares[dims]
            if not shares[0].values.shares:
                del self._totals[self.total_key(dims)]

    def add(self, dims: Key, delta: Delta, slots: tuple[int, ...]) -> None:
        """Add what happened in a cell to some slots, in which it was entered."""
        for index, share in zip(self.atoms, self._shares[dims], strict=True):
            counts: Mapping[object, int] = delta[index]
            if counts:
                share.values.add(share, counts, slots, sign=1)

    def shift(self, dims: Key, cell: Cell, slot: int, *, sign: int) -> None:
        """Add a bucket's cell to a slot, or take it out again."""
        for index, share in zip(self.atoms, self._shares[dims], strict=True):
            share.values.add(share, cell[index].values, (slot,), sign=sign)

    def copy_slot(self, source: int, target: int) -> Iterator[None]:
        """Let a new sum begin as another one is, in steps; its cells still have to enter."""
        for totals in self._totals.values():
            for values in totals:
                yield from values.copying(source, target)
        for shares in self._shares.values():
            for share in shares:
                share.copy_slot(source, target)
            yield

    def forget(self) -> None:
        """Give back the memory of having looked at the values of single cells."""
        for totals in self._totals.values():
            for values in totals:
                values.forget()

    def standing(self, slot: int) -> Callable[[Cell], Cell]:
        """Return what puts the values of a slot, as they are now, in the place of a cell's parts.

        It looks at all values, once; cells that move meanwhile are read as they were.
        """
        if not self.atoms:
            return _same
        now = {
            id(values): values.split(slot) for totals in self._totals.values() for values in totals
        }

        def stood(cell: Cell) -> Cell:
            parts = [now[id(cell[n].of.values)].get(cell[n].of.number, {}) for n in self.atoms]
            return self.fill(copy(cell), list(map(CellValues, parts)))

        return stood

    def fill(self, cell: Cell, parts: Sequence[object]) -> Cell:
        """Put *parts* in their places in a cell, and return it."""
        for index, part in zip(self.atoms, parts, strict=True):
            cell[index] = part
        return cell


def _same(cell: Cell) -> Cell:
    return cell
