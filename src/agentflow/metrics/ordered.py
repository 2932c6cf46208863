"""Whole numbers with how often each occurs, in order: what a large multiset is kept in.

A dict needs about 170 bytes for a decimal and its count, and looks at all of them to say which is
the greatest. Here both are arrays of machine words, a page of them at a time: 16 bytes a number,
and an extreme or a rank is found by looking at one page.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeAlias

PAGE = 512
_REBUILD_FROM = 4
"""Changes that are a fourth of what is held are cheaper all at once: a sort beats inserting."""

_Words: TypeAlias = "array[int] | list[int]"


class Ordered:
    """Counted whole numbers. Iterates in ascending order."""

    __slots__ = ("_counts", "_keys", "_lasts", "_length", "_sums")

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self._load(sorted(counts.items()) if counts else ())

    def _load(self, pairs: Iterable[tuple[int, int]]) -> None:
        self._keys: list[_Words] = []
        self._counts: list[array[int]] = []
        self._lasts: list[int] = []
        self._sums: list[int] = []
        self._length = 0
        left = iter(pairs)
        while page := list(islice(left, PAGE)):
            self._keys.append(_words([key for key, _ in page]))
            self._counts.append(array("q", [count for _, count in page]))
            self._lasts.append(page[-1][0])
            self._sums.append(sum(self._counts[-1]))
            self._length += len(page)

    def __len__(self) -> int:
        """Return how many different numbers there are."""
        return self._length

    @property
    def size(self) -> int:
        """How many numbers there are, each as often as it occurs."""
        return sum(self._sums)

    def items(self) -> Iterator[tuple[int, int]]:
        """Yield numbers and counts."""
        for keys, counts in zip(self._keys, self._counts, strict=True):
            yield from zip(keys, counts, strict=True)

    def copy(self) -> Ordered:
        """Return another one with the same numbers."""
        other = Ordered()
        other._keys = [keys[:] for keys in self._keys]
        other._counts = [counts[:] for counts in self._counts]
        other._lasts, other._sums = self._lasts[:], self._sums[:]
        other._length = self._length
        return other

    def merge(self, changes: Iterable[tuple[int, int]], *, many: int, sign: int) -> None:
        """Add (or take back) counted numbers, *many* of them; what reaches zero is gone."""
        if many * _REBUILD_FROM < self._length:
            for key, change in changes:
                if change:
                    self._add(key, sign * change)
            return
        together = dict(self.items())
        for key, change in changes:
            left = together.get(key, 0) + sign * change
            if left:
                together[key] = left
            else:
                together.pop(key, None)
        self._load(sorted(together.items()))

    def _add(self, key: int, change: int) -> None:
        page = min(bisect_left(self._lasts, key), len(self._lasts) - 1)
        keys, counts = self._keys[page], self._counts[page]
        at = bisect_left(keys, key)
        self._sums[page] += change
        if at == len(keys) or keys[at] != key:
            self._insert(page, at, key, change)
        elif counts[at] + change:
            counts[at] += change
        else:
            self._remove(page, at)

    def _insert(self, page: int, at: int, key: int, change: int) -> None:
        keys, counts = self._keys[page], self._counts[page]
        try:
            keys.insert(at, key)
        except OverflowError:  # a product of two fields can be wider than a word
            keys = self._keys[page] = list(keys)
            keys.insert(at, key)
        counts.insert(at, change)
        self._length += 1
        self._lasts[page] = keys[-1]
        if len(keys) > 2 * PAGE:
            self._keys[page : page + 1] = [keys[:PAGE], keys[PAGE:]]
            self._counts[page : page + 1] = [counts[:PAGE], counts[PAGE:]]
            self._lasts.insert(page, keys[PAGE - 1])
            self._sums[page : page + 1] = [sum(counts[:PAGE]), sum(counts[PAGE:])]

    def _remove(self, page: int, at: int) -> None:
        del self._keys[page][at], self._counts[page][at]
        self._length -= 1
        if self._keys[page]:
            self._lasts[page] = self._keys[page][-1]
        else:
            del self._keys[page], self._counts[page], self._lasts[page], self._sums[page]

    def least(self) -> int:
        """Return the least number; there must be one."""
        return self._keys[0][0]

    def greatest(self) -> int:
        """Return the greatest number; there must be one."""
        return self._lasts[-1]

    def at_rank(self, rank: int) -> int | None:
        """Return the number at a rank, from 1 on; each counts as often as it occurs."""
        seen = 0
        for page, size in enumerate(self._sums):
            if seen + size < rank:
                seen += size
                continue
            for key, count in zip(self._keys[page], self._counts[page], strict=True):
                seen += count
                if seen >= rank:
                    return key
        return None


def _words(keys: list[int]) -> _Words:
    try:
        return array("q", keys)
    except OverflowError:
        return keys
