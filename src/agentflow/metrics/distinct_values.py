"""Distinct values of a metric in one place: each once, for all its windows, by cell and in total.

A window shows the number of different values by cell and in total. Kept as sets, a visitor costs an
entry for his cell and one for the total in every window, though he is usually the same in all of
them: one cell, one count, all windows that reach far enough. So a value is held once, with what was
*seen* of it (in which cells, how often in which window's sum), and the few such descriptions there
are lie ready. What it takes from one to the next is worked out once, and then looked up.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from agentflow.metrics import state
from agentflow.metrics.hash_map import HashMap
from agentflow.metrics.seen import (
    COPIED_AT_ONCE,
    Counts,
    Parts,
    Seen,
    SeenWidely,
    Transition,
    Way,
    copied,
    stepped,
)
from agentflow.metrics.state import hashed_of

_REMEMBERED = 4_000
"""Steps that lie ready, at most; all are dropped then, and worked out again."""

_Held = Seen | SeenWidely
Counting = Mapping[object, int] | HashMap[int]
"""Counted values, or counted keys of many values."""


def none_seen(slots: int) -> array[int]:
    """Return the tally of nothing; an array, as the garbage collector walks lists."""
    return array("q", bytes(8 * slots))


class SlotCounts(msgspec.Struct, gc=False, eq=False):
    """How many different values were seen, by slot."""

    seen: array[int]

    def copy_slot(self, source: int, target: int) -> None:
        """Let one slot say what another does."""
        self.seen[target] = self.seen[source]

    def grow(self, growth: Sequence[tuple[int, int]], times: int = 1) -> None:
        """Count values that came or went, by slot."""
        for slot, change in growth:
            self.seen[slot] += change * times


class CellShare(SlotCounts, gc=False, eq=False):
    """The values of one cell; `holders` sums show it."""

    values: DistinctValues
    number: int
    holders: int = 0

    def counts(self, slot: int) -> Counting:
        """Return the counted values of a slot, not to be changed."""
        return self.values.split(slot).get(self.number, {})


class DistinctValues(SlotCounts, eq=False, gc=False):
    """All values of one total, each once. The tally is that of the total."""

    shares: int = 0
    _held: dict[object, _Held] | HashMap[_Held] = msgspec.field(default_factory=dict)
    _free: list[int] = msgspec.field(default_factory=list)
    _next: int = 0
    _known: dict[tuple[tuple[int, Counts], ...], Seen] = msgspec.field(default_factory=dict)
    _steps: dict[Way, dict[_Held | None, Transition]] = msgspec.field(default_factory=dict)
    _remembered: int = 0
    _split: tuple[int, Mapping[int, Counting]] | None = None

    def share(self) -> CellShare:
        """Return a new share, without any values."""
        self.shares += 1
        if not self._free:
            self._free.append(self._next)
            self._next += 1
        return CellShare(none_seen(len(self.seen)), self, self._free.pop())

    def release(self, share: CellShare) -> None:
        """Forget a share that no sum shows any more."""
        self.shares -= 1
        self._free.append(share.number)

    def add(self, share: CellShare, counts: Counting, slots: tuple[int, ...], *, sign: int) -> None:
        """Add (or take back) counted values in some slots; the hot loop of every fold."""
        self._split = None
        if self._remembered > _REMEMBERED:
            self._steps, self._known, self._remembered = {}, {}, 0
        if isinstance(counts, HashMap) and not isinstance(self._held, HashMap):
            self._held = hashed_of(self._held)
        held, get = self._held, self._held.get
        known = {
            change: self._steps.setdefault((share.number, slots, sign * change), {})
            for change in set(counts.values())
            if change
        }
        growing: list[Transition] = []
        for value, change in counts.items():
            if not change:
                continue
            before = get(value)
            step = known[change].get(before)
            if step is None:
                way = (share.number, slots, sign * change)
                step = self._step(before, way, known[change])
            after = step.after
            if after is None:
                held.pop(value, None)
            else:
                held[value] = after
            if step.of_share:
                growing.append(step)
        for step, times in Counter(growing).items():
            share.grow(step.of_share, times)
            self.grow(step.in_total, times)
        if growing:
            self._fit()

    def _fit(self) -> None:
        """Keep many values by hash, and start over once there are none."""
        if not isinstance(self._held, HashMap):
            if len(self._held) > state.HASHED_ABOVE:
                self._held = hashed_of(self._held)
        elif not len(self._held):
            self._held = {}

    def _put(self, value: object, way: Way) -> Transition:
        step = self._step(self._held.get(value), way, {})
        if step.after is None:
            self._held.pop(value, None)
        else:
            self._held[value] = step.after
        return step

    def _step(
        self, before: _Held | None, way: Way, known: dict[_Held | None, Transition]
    ) -> Transition:
        """Work out what a change makes of a value; *known* has it ready for the next one."""
        step = stepped(before, way, slots=len(self.seen), described=self._described)
        if step.shared and not isinstance(before, SeenWidely):
            known[before] = step
            self._remembered += 1
        return step

    def _described(self, counts: Parts) -> Seen | None:
        if not counts:
            return None
        parts = tuple(sorted(counts.items()))
        return self._known.setdefault(parts, Seen(parts))

    def clear(self, share: CellShare, slot: int) -> None:
        """Forget what is left of a share in a slot."""
        if share.seen[slot]:
            for value, count in share.counts(slot).items():
                step = self._put(value, (share.number, (slot,), -count))
                share.grow(step.of_share)
                self.grow(step.in_total)
            self._split = None
            self._fit()

    def copying(self, source: int, target: int) -> Iterator[None]:
        """Let one slot hold what another does, some values in each step."""
        self.copy_slot(source, target)
        self._split = None
        same: dict[_Held, _Held] = {}
        for seen in set(self._held.values()):
            if isinstance(seen, SeenWidely):
                same[seen] = seen
                yield from seen.copying(source, target)
            else:
                parts = {number: copied(counts, source, target) for number, counts in seen.parts}
                same[seen] = self._described(parts) or seen
        if isinstance(self._held, HashMap):
            self._held.replace(same)
        else:
            for number, (value, seen) in enumerate(self._held.items()):
                self._held[value] = same[seen]
                if not number % COPIED_AT_ONCE:
                    yield

    def split(self, slot: int) -> Mapping[int, Counting]:
        """Return the counted values of every share, until something changes or `forget`."""
        if self._split is None or self._split[0] != slot:
            by_share: dict[int, dict[object, int] | HashMap[int]] = {}
            for value, number, count in self._in(slot):
                counts = by_share.get(number)
                if counts is None:
                    counts = by_share[number] = self._none()
                counts[value] = count
            self._split = slot, by_share
        return self._split[1]

    def _none(self) -> dict[object, int] | HashMap[int]:
        return HashMap[int]() if isinstance(self._held, HashMap) else {}

    def forget(self) -> None:
        """Give the memory of `split` back."""
        self._split = None

    def counts(self, slot: int) -> Counting:
        """Return the counted values of all shares."""
        counts = self._none()
        for value, _, count in self._in(slot):
            counts[value] = counts.get(value, 0) + count
        return counts

    def _in(self, slot: int) -> Iterator[tuple[object, int, int]]:
        for value, seen in self._held.items():
            for number, counts in seen.cells():
                if counts[slot]:
                    yield value, number, counts[slot]


class DistinctPart(msgspec.Struct, gc=False, eq=False):
    """What a window's sum shows of distinct values, in one cell or in total."""

    of: CellShare | DistinctValues
    slot: int

    def merge(self, counts: object, *, sign: int = 1) -> None:
        """Do nothing: values are added to all windows at once."""

    @property
    def values(self) -> Counting:
        """The counted values, not to be changed; see `DistinctValues.forget`."""
        return self.of.counts(self.slot)

    def size(self) -> int:
        """Return the number of different values."""
        return self.of.seen[self.slot]


@dataclass(frozen=True, slots=True)
class CellValues:
    """The counted values of one cell at an instant, to be merged."""

    values: Counting
