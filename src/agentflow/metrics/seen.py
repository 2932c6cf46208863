"""Where a distinct value was seen, and what one more event makes of that.

A value in few cells shares its description with all that were seen alike. One of many cells
("guest") has a description of its own, which changes in place: a new one would cost each of its
events as much as it has cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

COPIED_AT_ONCE = 64

MANY_CELLS = 8
"""A value in more cells has a description of its own; in half of that, a common one again."""

Counts = tuple[int, ...]  # by slot: how often in each window's sum
Growth = tuple[tuple[int, int], ...]  # (slot, how many values more)
Way = tuple[int, tuple[int, ...], int]  # share, slots, change
Parts = Mapping[int, Counts]  # counts by share


def copied(counts: Counts, source: int, target: int) -> Counts:
    """Return the counts with one slot as another."""
    return (*counts[:target], counts[source], *counts[target + 1 :])


class Seen(msgspec.Struct, gc=False, eq=False):
    """Where a value was seen: (share, counts by slot) for each of its cells; known by identity."""

    parts: tuple[tuple[int, Counts], ...]

    def cells(self) -> Iterable[tuple[int, Counts]]:
        """Return the counts by slot of each share."""
        return self.parts


class SeenWidely(msgspec.Struct, gc=False, eq=False):
    """Where one value of many cells was seen; changes in place.

    Attributes:
        parts: Counts by slot, by share.
        spread: In how many shares it counts, by slot.
    """

    parts: dict[int, Counts]
    spread: list[int]

    @classmethod
    def of(cls, parts: dict[int, Counts], slots: int) -> SeenWidely:
        """Describe a value from the start."""
        spread = [sum(1 for counts in parts.values() if counts[slot]) for slot in range(slots)]
        return cls(parts, spread)

    def cells(self) -> Iterable[tuple[int, Counts]]:
        """Return the counts by slot of each share."""
        return self.parts.items()

    def moved(self, way: Way) -> tuple[Growth, Growth]:
        """Change the counts; return what grows in the share and in total."""
        number, slots, change = way
        now = list(self.parts.get(number) or (0,) * len(self.spread))
        of_share, in_total = [], []
        for slot in slots:
            before = now[slot] != 0
            now[slot] += change
            growth = (now[slot] != 0) - before
            if growth:
                self.spread[slot] += growth
                of_share.append((slot, growth))
                if self.spread[slot] == max(growth, 0):  # it came to the first, or left the last
                    in_total.append((slot, growth))
        if any(now):
            self.parts[number] = tuple(now)
        else:
            self.parts.pop(number, None)
        return tuple(of_share), tuple(in_total)

    def copying(self, source: int, target: int) -> Iterator[None]:
        """Let one slot hold what another does, some cells in each step."""
        for at, (number, counts) in enumerate(self.parts.items()):
            self.parts[number] = copied(counts, source, target)
            if not at % COPIED_AT_ONCE:
                yield
        self.spread[target] = self.spread[source]


@dataclass(frozen=True, slots=True, eq=False)
class Transition:
    """What becomes of a value, and by how much it changes the tallies of its cell and in total."""

    after: Seen | SeenWidely | None
    of_share: Growth
    in_total: Growth

    @property
    def shared(self) -> bool:
        """Tell whether it is the same for every value that was seen alike."""
        return not isinstance(self.after, SeenWidely)


def stepped(
    before: Seen | SeenWidely | None,
    way: Way,
    *,
    slots: int,
    described: Callable[[Parts], Seen | None],
) -> Transition:
    """Work out what a change makes of a value; one that was seen widely is changed by it.

    *described* returns the description that all values of such counts share.
    """
    if isinstance(before, SeenWidely):
        of_share, in_total = before.moved(way)
        few = len(before.parts) <= MANY_CELLS // 2
        return Transition(described(before.parts) if few else before, of_share, in_total)
    number, changed, change = way
    parts = dict(before.parts) if before is not None else {}
    mine = parts.pop(number, (0,) * slots)
    others = [any(counts[slot] for counts in parts.values()) for slot in changed]
    now = list(mine)
    for slot in changed:
        now[slot] += change
    growth = [(slot, (now[slot] != 0) - (mine[slot] != 0)) for slot in changed]
    if any(now):
        parts[number] = tuple(now)
    return Transition(
        SeenWidely.of(parts, slots) if len(parts) > MANY_CELLS else described(parts),
        tuple(one for one in growth if one[1]),
        tuple(one for one, other in zip(growth, others, strict=True) if one[1] and not other),
    )
