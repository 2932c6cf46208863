"""A map from values to what is held of each, by their hash: what a large distinct set is kept in.

A dict needs about 200 bytes for a visitor's id. Here a value is 96 bits of its hash, in arrays that
are sorted page by page: 12 bytes, and 8 for what is held. Two of ten million values have the same
96 bits with a chance of 1 to 10^15.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Generic, TypeVar, overload

_T = TypeVar("_T")
PAGE = 512
_WORD_BITS = 64
_HEAD, _ALL = 8, 12
_REMEMBERED = 8_192
"""One value goes into several sets in a row (buckets, windows): hashed only once."""


@lru_cache(maxsize=_REMEMBERED, typed=True)
def key_of(value: object) -> bytes:
    """Return the key of a value; what is bytes is a key already.

    Equal values of different types are different: 1 and "1", though not 1 and `True`.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        value = int(value)
    text = f'"{value}' if isinstance(value, str) else str(value)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_ALL).digest()


class HashMap(Generic[_T]):
    """Something held for each of many values. Iterates over keys."""

    __slots__ = ("_bits", "_heads", "_held", "_length", "_rests")

    def __init__(self) -> None:
        self._bits = 0
        self._length = 0
        self._heads = [array("Q")]
        self._rests = [array("I")]
        self._held: list[list[_T]] = [[]]

    def __len__(self) -> int:
        """Return how many values there are."""
        return self._length

    def _find(self, value: object) -> tuple[int, int, int, int, bool]:
        """Return page and place of a value, its key in two words, and whether it is there."""
        key = key_of(value)
        head, rest = int.from_bytes(key[:_HEAD], "big"), int.from_bytes(key[_HEAD:], "big")
        page = head >> (_WORD_BITS - self._bits)
        heads = self._heads[page]
        at, end = bisect_left(heads, head), len(heads)
        while at < end and heads[at] == head:
            if self._rests[page][at] == rest:
                return page, at, head, rest, True
            at += 1
        return page, at, head, rest, False

    @overload
    def get(self, value: object) -> _T | None: ...
    @overload
    def get(self, value: object, default: _T) -> _T: ...
    def get(self, value: object, default: _T | None = None) -> _T | None:
        """Return what is held for a value, or *default*."""
        page, at, _, _, found = self._find(value)
        return self._held[page][at] if found else default

    def __setitem__(self, value: object, held: _T) -> None:
        """Hold something for a value."""
        page, at, head, rest, found = self._find(value)
        if found:
            self._held[page][at] = held
            return
        self._heads[page].insert(at, head)
        self._rests[page].insert(at, rest)
        self._held[page].insert(at, held)
        self._length += 1
        if self._length > PAGE << self._bits:
            self._double()

    def pop(self, value: object, default: None = None) -> None:
        """Hold nothing for a value any more."""
        del default  # as a dict has it
        page, at, _, _, found = self._find(value)
        if found:
            del self._heads[page][at], self._rests[page][at], self._held[page][at]
            self._length -= 1

    def items(self) -> Iterator[tuple[bytes, _T]]:
        """Yield keys and what is held, by key."""
        for heads, rests, held in zip(self._heads, self._rests, self._held, strict=True):
            for head, rest, one in zip(heads, rests, held, strict=True):
                key = head.to_bytes(_HEAD, "big") + rest.to_bytes(_ALL - _HEAD, "big")
                yield key, one

    def values(self) -> Iterator[_T]:
        """Yield what is held, by key."""
        for held in self._held:
            yield from held

    def replace(self, others: Mapping[_T, _T]) -> None:
        """Hold for every value what *others* has in place of what is held."""
        for held in self._held:
            held[:] = [others[one] for one in held]

    def _double(self) -> None:
        """Split every page by the next bit of its hashes, so that pages stay short."""
        self._bits += 1
        heads, rests, held = self._heads, self._rests, self._held
        self._heads, self._rests, self._held = [], [], []
        for page in range(len(heads)):
            middle = (2 * page + 1) << (_WORD_BITS - self._bits)
            at = bisect_left(heads[page], middle)
            self._heads += [heads[page][:at], heads[page][at:]]
            self._rests += [rests[page][:at], rests[page][at:]]
            self._held += [held[page][:at], held[page][at:]]
