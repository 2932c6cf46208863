"""State that can be merged and taken back: counted multisets and counted sets. Both are exact.

While they are small, both are dicts. A large multiset goes over to arrays of whole numbers in
order, a large set to arrays of hashes: a tenth of the memory, and every answer is still exact,
whatever comes, goes, and in which order. What form a state has is seen nowhere outside of it.

What is unlikely to change any more can be put to *rest*: its values are packed into bytes,
and unpacked for as long as they are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Context, Decimal
from functools import lru_cache
from typing import Generic, TypeVar

import msgspec

from agentflow.metrics.hash_map import HashMap, key_of
from agentflow.metrics.ordered import Ordered

ORDERED_ABOVE = 4_096
"""Different values from which on a multiset is kept in order."""
HASHED_ABOVE = 65_536
"""Different values from which on a set is kept by hash."""

Number = int | Decimal
_EXACT = Context(prec=76)
_V = TypeVar("_V")
_T = TypeVar("_T")
_REMEMBERED = 8_192
"""One value goes into a dozen states in a row (windows, totals): scaled only once."""


@lru_cache(maxsize=_REMEMBERED, typed=True)
def unscaled(value: Number, scale: int) -> int:
    """Return a value as a whole number of its last decimal place.

    >>> unscaled(Decimal("10.01"), 2), unscaled(10, 2), unscaled(-7, 0)
    (1001, 1000, -7)
    """
    return int(Decimal(value).scaleb(scale, context=_EXACT)) if scale else int(value)


def scaled(number: int, scale: int) -> Number:
    """Return the value whose last decimal place is counted by *number*."""
    return Decimal(number).scaleb(-scale, context=_EXACT) if scale else number


def _accumulate(into: dict[_V, int], counts: Mapping[_V, int], sign: int) -> None:
    """Add *sign* times *counts*, dropping what reaches zero; the hot loop of every fold."""
    get = into.get
    for value, number in counts.items():
        left = get(value, 0) + number if sign > 0 else get(value, 0) - number
        if left:
            into[value] = left
        else:
            into.pop(value, None)


def _accumulate_hashed(
    into: HashMap[int], counts: Mapping[object, int] | HashMap[int], sign: int
) -> None:
    for value, number in counts.items():
        left = into.get(value, 0) + sign * number
        if left:
            into[value] = left
        else:
            into.pop(value)


class CountedValues(msgspec.Struct, Generic[_V], gc=False, eq=False, kw_only=True):
    """Values with how often each occurs: a dict while they change, packed bytes at rest."""

    _held: dict[_V, int] | bytes = msgspec.field(default_factory=dict)

    @property
    def counts(self) -> dict[_V, int]:
        """The counted values, not to be changed; only a copy while they are at rest."""
        held = self._held
        return held if held.__class__ is dict else self._unpacked(held)  # type: ignore[arg-type]

    def rest(self) -> None:
        """Pack the values; the next change unpacks them."""
        if self._held.__class__ is dict:
            try:
                self._held = packed(self._held)
            except OverflowError:  # MessagePack ends at 64 bits: they stay as they are
                return

    def _awake(self) -> dict[_V, int]:
        """Return the values to be changed."""
        held = self._held
        if held.__class__ is not dict:
            held = self._held = self._unpacked(held)  # type: ignore[arg-type]
        return held

    def _unpacked(self, held: bytes) -> dict[_V, int]:
        return msgspec.msgpack.decode(held)  # type: ignore[no-any-return]


packed = msgspec.msgpack.Encoder().encode
"""Counted values as bytes; decimals become text."""


class Multiset(CountedValues[Number], gc=False, eq=False):
    """Values with how often each occurs; large ones in order, as whole numbers."""

    scale: int
    size: int = 0
    _ordered: Ordered | None = None

    @property
    def values(self) -> Mapping[Number, int] | Ordered:
        """What `merge` takes; not to be changed."""
        return self.counts if self._ordered is None else self._ordered

    def items(self) -> Iterator[tuple[Number, int]]:
        """Yield values and counts."""
        if self._ordered is None:
            return iter(self.counts.items())
        return ((scaled(number, self.scale), count) for number, count in self._ordered.items())

    def merge(self, counts: Mapping[Number, int] | Ordered, *, sign: int = 1) -> None:
        """Add (or with *sign* -1 take back) counted values."""
        if self._ordered is not None or isinstance(counts, Ordered):
            self._merge_in_order(counts, sign)
            return
        mine = self._awake()
        if not mine and sign > 0 and 0 not in counts.values():
            mine.update(counts)
        else:
            _accumulate(mine, counts, sign)
        self.size += sign * sum(counts.values())
        if len(mine) > ORDERED_ABOVE:
            self._in_order()

    def _merge_in_order(self, counts: Mapping[Number, int] | Ordered, sign: int) -> None:
        ordered, scale = self._in_order(), self.scale
        if isinstance(counts, Ordered):
            ordered.merge(counts.items(), many=len(counts), sign=sign)
            self.size += sign * counts.size
        else:
            changes = ((unscaled(value, scale), count) for value, count in counts.items())
            ordered.merge(changes, many=len(counts), sign=sign)
            self.size += sign * sum(counts.values())
        if len(ordered) <= ORDERED_ABOVE // 2:
            self._held, self._ordered = dict(self.items()), None

    def _in_order(self) -> Ordered:
        if self._ordered is None:
            scale = self.scale
            counts = {unscaled(value, scale): count for value, count in self.counts.items()}
            self._held, self._ordered = {}, Ordered(counts)
        return self._ordered

    def take(self, counts: dict[Number, int], *, size: int) -> None:
        """Hold *counts* and nothing else."""
        self._held, self.size, self._ordered = counts, size, None
        if len(counts) > ORDERED_ABOVE:
            self._in_order()

    def copy(self) -> Multiset:
        """Return another one with the same values."""
        other = Multiset(self.scale)
        if self._ordered is None:
            other.take(dict(self.counts), size=self.size)
        else:
            other.size, other._ordered = self.size, self._ordered.copy()
        return other

    def _unpacked(self, held: bytes) -> dict[Number, int]:
        counts = msgspec.msgpack.decode(held)
        if not self.scale:
            return counts  # type: ignore[no-any-return]
        return {
            Decimal(value) if value.__class__ is str else value: number
            for value, number in counts.items()
        }

    def __eq__(self, other: object) -> bool:
        """Compare what is held."""
        return isinstance(other, Multiset) and dict(self.items()) == dict(other.items())

    __hash__ = None  # type: ignore[assignment]

    def quantile(self, q: tuple[int, int]) -> Number | None:
        """Return the nearest-rank quantile, the value at rank ceil(q·n); null when empty."""
        if self.size <= 0:
            return None
        rank = -(-q[0] * self.size // q[1])
        if self._ordered is not None:
            return self._scaled(self._ordered.at_rank(rank))
        seen, counts = 0, self.counts
        for value in sorted(counts):
            seen += counts[value]
            if seen >= rank:
                return value
        return None

    def minimum(self) -> Number | None:
        """Return the least value; null when empty."""
        if self._ordered is not None:
            return self._scaled(self._ordered.least())
        return min(self.counts, default=None)

    def maximum(self) -> Number | None:
        """Return the greatest value; null when empty."""
        if self._ordered is not None:
            return self._scaled(self._ordered.greatest())
        return max(self.counts, default=None)

    def _scaled(self, number: int | None) -> Number | None:
        return None if number is None else scaled(number, self.scale)


class Distinct(CountedValues[object], gc=False, eq=False):
    """Different values with how often each occurs, so that the last retraction removes it."""

    _hashed: HashMap[int] | None = None

    @property
    def values(self) -> Mapping[object, int] | HashMap[int]:
        """What `merge` takes: by value, or by key when there are many; not to be changed."""
        return self.counts if self._hashed is None else self._hashed

    def merge(self, counts: Mapping[object, int] | HashMap[int], *, sign: int = 1) -> None:
        """Add (or with *sign* -1 take back) counted values."""
        if self._hashed is not None or isinstance(counts, HashMap):
            hashed = self._by_hash()
            _accumulate_hashed(hashed, counts, sign)
            if not len(hashed):
                self._hashed = None
            return
        mine = self._awake()
        if not mine and sign > 0 and 0 not in counts.values():
            mine.update(counts)
        else:
            _accumulate(mine, counts, sign)
        if len(mine) > HASHED_ABOVE:
            self._by_hash()

    def _by_hash(self) -> HashMap[int]:
        if self._hashed is None:
            self._hashed, self._held = hashed_of(self.counts), {}
        return self._hashed

    def take(self, counts: dict[object, int]) -> None:
        """Hold *counts* and nothing else; keys are bytes."""
        self._held, self._hashed = counts, None
        if len(counts) > HASHED_ABOVE or any(value.__class__ is bytes for value in counts):
            self._by_hash()

    def __eq__(self, other: object) -> bool:
        """Compare what is held."""
        if not isinstance(other, Distinct):
            return False
        return dict(_keyed(self.values)) == dict(_keyed(other.values))

    __hash__ = None  # type: ignore[assignment]

    def size(self) -> int:
        """Return the number of different values."""
        return len(self.values)


def hashed_of(held: Mapping[object, _T]) -> HashMap[_T]:
    """Return a mapping by the hashes of its keys."""
    hashed = HashMap[_T]()
    for value, one in held.items():
        hashed[value] = one
    return hashed


def _keyed(counts: Mapping[object, int] | HashMap[int]) -> Iterator[tuple[bytes, int]]:
    return ((key_of(value), count) for value, count in counts.items())
