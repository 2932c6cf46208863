"""Distinct values of all cells of a window in one place: the total holds each value once.

A window shows the number of different values by cell and in total. Kept as one set for every cell
and one more for the total, a visitor costs two entries in every window. Here the total (`Union`)
maps a value to the cell it was seen in and how often; a cell (`Share`) knows only how many it has.
The few values seen in several cells hold their cells by number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agentflow.metrics.state import DISTINCT_LIMIT, hash_bits, sample_error, sampled

_SHIFT = 32
_ONE = 1 << _SHIFT
_SHARE = _ONE - 1
_USUAL = 8
"""Seen less often than that, a value costs no number of its own: its share has one ready."""

_Several = dict[int, int]


class Union:
    """All values of the shares of one total, each once, with where and how often.

    Attributes:
        level: The coarsest sampling of any share; 0 while everything is exact.
    """

    __slots__ = ("_free", "_held", "_next", "_sample", "_split", "level", "shares")

    def __init__(self) -> None:
        self.level = 0
        self.shares = 0
        self._held: dict[object, int | _Several] = {}
        self._free: list[int] = []
        self._next = 0
        self._sample = 0
        self._split: dict[int, dict[object, int]] | None = None

    def share(self) -> Share:
        """Return a new share, without any values."""
        self.shares += 1
        if self._free:
            return Share(self, self._free.pop())
        self._next += 1
        return Share(self, self._next - 1)

    def release(self, share: Share) -> None:
        """Forget a share and what is left of its values."""
        if share.size:
            for value, number in self.split().get(share.number, {}).items():
                self._put(share, value, -number)
            self._split = None
        self.shares -= 1
        self._free.append(share.number)

    def copy(self) -> Union:
        """Return another one with the same values; shares are moved to it one by one."""
        other = Union()
        for name in ("level", "shares", "_next", "_sample"):
            setattr(other, name, getattr(self, name))
        other._free = self._free.copy()
        other._held = {
            value: held if held.__class__ is int else dict(held)  # type: ignore[call-overload]
            for value, held in self._held.items()
        }
        return other

    def merge(self, counts: object, *, sign: int = 1, level: int = 0) -> None:
        """Do nothing: the share of the same cell brings the values."""

    def add(self, share: Share, counts: Mapping[object, int], sign: int) -> None:
        """Add (or take back) counted values of a share; the hot loop of every fold."""
        self._split = None
        if self.level:
            for value, change in counts.items():
                self._put(share, value, sign * change)
            return
        mine, number, usual = self._held, share.number, share.usual
        get = mine.get
        grown = 0
        for value, change in counts.items():
            held = get(value)
            if held is None:
                count = sign * change
                grown += 1
            elif held.__class__ is int and held & _SHARE == number:  # type: ignore[operator]
                count = (held >> _SHIFT) + sign * change  # type: ignore[operator]
            else:
                self._put(share, value, sign * change)
                continue
            if 0 < count < _USUAL:
                mine[value] = usual[count]
            elif count:
                mine[value] = number + count * _ONE
            else:
                mine.pop(value, None)
                grown -= 1
        share.size += grown

    def _put(self, share: Share, value: object, change: int) -> None:
        """Change one value, wherever it was seen before."""
        held = self._held.get(value)
        several = dict(_parts(held))
        before = several.pop(share.number, 0)
        if before + change:
            several[share.number] = before + change
        if len(several) > 1:
            self._held[value] = several
        elif several:
            ((number, count),) = several.items()
            self._held[value] = number + count * _ONE
        else:
            self._held.pop(value, None)
        share.size += (before + change != 0) - (before != 0)
        if self.level and (held is None) == bool(several) and self._samples(value):
            self._sample += 1 if several else -1

    def _samples(self, value: object) -> bool:
        return not hash_bits(value) & ((1 << self.level) - 1)

    def thin(self, share: Share, level: int) -> None:
        """Keep of a share only what the sample at *level* holds."""
        mask = (1 << level) - 1
        for value, number in self.split().get(share.number, {}).items():
            if hash_bits(value) & mask:
                self._put(share, value, -number)
        self._split = None
        self.level = max(self.level, level)
        self._sample = sum(map(self._samples, self._held))

    def split(self) -> Mapping[int, dict[object, int]]:
        """Return the counted values of every share, until something changes or `forget`."""
        if self._split is None:
            self._split = {}
            for value, held in self._held.items():
                for number, count in _parts(held):
                    self._split.setdefault(number, {})[value] = count
        return self._split

    def forget(self) -> None:
        """Give the memory of `split` back."""
        self._split = None

    @property
    def counts(self) -> dict[object, int]:
        """The counted values of all shares: those in the sample, if anything is sampled."""
        return {
            value: sum(count for _, count in _parts(held))
            for value, held in self._held.items()
            if not self.level or self._samples(value)
        }

    def estimate(self) -> int:
        """Return the number of different values; exact at level 0."""
        return self._sample << self.level if self.level else len(self._held)

    def error_bound(self) -> float:
        """Return three relative standard errors of the estimate; 0 when it is exact."""
        return sample_error(self._sample, self.level)


class Share:
    """What one cell has of a union: how many different values, each by its count.

    Attributes:
        size: How many different values; the union has them.
        usual: The numbers the union holds for values seen once, twice and so on, here only.
    """

    __slots__ = ("level", "number", "size", "union", "usual")

    def __init__(self, union: Union, number: int) -> None:
        self.union = union
        self.number = number
        self.size = 0
        self.level = 0
        self.usual = tuple(number + count * _ONE for count in range(_USUAL))

    def moved(self, union: Union) -> Share:
        """Return the same share of a copy of its union."""
        other = Share(union, self.number)
        other.size, other.level, other.usual = self.size, self.level, self.usual
        return other

    def merge(self, counts: Mapping[object, int], *, sign: int = 1, level: int = 0) -> None:
        """Add (or take back) counted values, which may themselves be a sample at *level*."""
        if level > self.level:
            self._thin(level)
        if self.level > level:
            counts = sampled(counts, self.level)
        self.union.add(self, counts, sign)
        while self.size > DISTINCT_LIMIT:
            self._thin(self.level + 1)

    def _thin(self, level: int) -> None:
        self.level = level
        self.union.thin(self, level)

    @property
    def counts(self) -> Mapping[object, int]:
        """The counted values, not to be changed; see `Union.forget`."""
        return self.union.split().get(self.number, {})

    def estimate(self) -> int:
        """Return the number of different values; exact at level 0."""
        return self.size << self.level

    def error_bound(self) -> float:
        """Return three relative standard errors of the estimate; 0 when it is exact."""
        return sample_error(self.size, self.level)


def _parts(held: int | _Several | None) -> Iterator[tuple[int, int]]:
    """Yield (share number, count) of what a union holds for a value."""
    if isinstance(held, int):
        yield held & _SHARE, held >> _SHIFT
    elif held is not None:
        yield from held.items()
