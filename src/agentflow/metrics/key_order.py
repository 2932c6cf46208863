"""The order of groups, and an index that keeps the cells of a sum in it as they come and go."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Final

Key = tuple[object, ...]
_Placed = tuple[tuple[tuple[bool, str], ...], Key]
_RUN: Final = 256
_FEWEST_CHANGES: Final = 1_000
_REBUILD_FROM: Final = 4
"""So many changes that are a fourth of the keys are cheaper to forget than to follow."""


def place(key: Key) -> tuple[tuple[bool, str], ...]:
    """Return what groups are ordered by: their values as text, those without one last."""
    return tuple([(part is None, str(part)) for part in key])


def ordered(keys: Iterable[Key], into: list[Key]) -> Iterator[None]:
    """Put *keys* into a list in order, little by little."""
    left = iter(keys)
    runs = []
    while run := [(place(key), key) for key in islice(left, _RUN)]:
        run.sort(reverse=True)
        runs.append(run)
        yield
    merged = merge(*map(_popped, runs))
    while some := [key for _, key in islice(merged, _RUN)]:
        into += some
        yield


def _popped(run: list[_Placed]) -> Iterator[_Placed]:
    """Yield from the end, and let go: all runs at once would hold the loop for 30 ms at the end."""
    while run:
        yield run.pop()


class KeyOrder:
    """Keys in order. Build it with `steps`; changes that come meanwhile, or later, are followed."""

    __slots__ = ("_changes", "_first", "_keys", "ready")

    def __init__(self, keys: Iterable[Key]) -> None:
        self._first: list[Key] = list(keys)
        self._keys: list[Key] = []
        self._changes: dict[Key, bool] = {}
        self.ready = False

    def steps(self) -> Iterator[None]:
        """Put the keys in order, and follow what changed."""
        if not self.ready:
            yield from ordered(self._first, self._keys)
            self._first, self.ready = [], True
        while self._changes:
            self._follow(*self._changes.popitem())
            yield

    def change(self, key: Key, *, there: bool) -> bool:
        """Note that a key came or went; False when there is too much to follow."""
        self._changes[key] = there
        most = max(_FEWEST_CHANGES, (len(self._keys) or len(self._first)) // _REBUILD_FROM)
        return len(self._changes) <= most

    def copy(self) -> KeyOrder | None:
        """Return another one of the same keys; None while this one is not ready."""
        if not self.ready:
            return None
        own = KeyOrder(())
        own._keys, own._changes, own.ready = self._keys.copy(), self._changes.copy(), True
        return own

    def page(self, after: Key | None, limit: int) -> tuple[Sequence[Key], int]:
        """Return the keys of a page, and how many come after it."""
        for _ in self.steps():
            pass
        keys = self._keys
        start = 0 if after is None else bisect_right(keys, place(after), key=place)
        return keys[start : start + limit], max(len(keys) - start - limit, 0)

    def _follow(self, key: Key, there: bool) -> None:  # noqa: FBT001 - an item of a dict
        at = bisect_left(self._keys, place(key), key=place)
        held = at < len(self._keys) and self._keys[at] == key
        if there and not held:
            self._keys.insert(at, key)
        elif held and not there:
            del self._keys[at]
