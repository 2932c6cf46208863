"""Look at many cells little by little, as they stood at one instant, while events move them.

A scan holds the cells that it has not looked at. A change of one has it looked at first, so
that nothing is copied, nothing waits, and all that was seen belongs to the instant of the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from agentflow.metrics.distincts import Key
from agentflow.metrics.evaluator import Cell
from agentflow.metrics.window_cells import WindowCells

Look = Callable[[Key, Cell], None]


class Scan:
    """One look at every cell of a sum, or at *only* some of them. `close` it in any case."""

    __slots__ = ("_held", "_left", "_look")

    def __init__(self, held: WindowCells, look: Look, *, only: Iterable[Key] | None = None) -> None:
        cells = held.cells
        self._left = dict(cells) if only is None else {dims: cells[dims] for dims in only}
        self._look = look
        self._held: WindowCells | None = held
        held.listeners.append(self)

    def changing(self, dims: Key) -> None:
        """Look at a cell that is about to change, unless that was done."""
        cell = self._left.pop(dims, None)
        if cell is not None:
            self._look(dims, cell)

    def steps(self) -> Iterator[None]:
        """Look at what is left, a cell in each step."""
        left = self._left
        while left:
            self._look(*left.popitem())
            yield

    def close(self) -> None:
        """Look at nothing any more."""
        if self._held is not None:
            self._held.listeners.remove(self)
            self._held.forget()
            self._held = None
