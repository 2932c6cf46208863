"""State that can be merged and taken back: counted multisets and counted sets.

Both are exact up to a stated number of different values. Above it a multiset keeps eight
significant bits of each value (relative error below 1/128), a distinct set keeps a hash sample
(three standard errors: 3/sqrt of the sample). Hash sampling by level is Wegman's adaptive sampling
(Flajolet 1990); rounding to significant bits is what HdrHistogram does. Unlike sketches, both can
retract.

What nobody is expected to change any more can be put to *rest*: its values are packed into bytes,
and unpacked for as long as somebody looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from functools import lru_cache
from hashlib import md5
from math import sqrt
from typing import Generic, TypeVar

import msgspec

MULTISET_LIMIT = 4_096
DISTINCT_LIMIT = 65_536
SIGNIFICANT_BITS = 8
MULTISET_ERROR_BOUND = 1 / 2 ** (SIGNIFICANT_BITS - 1)

Number = int | Decimal
_EXACT = Context(prec=76)
_V = TypeVar("_V")
_REMEMBERED = 8_192
"""One value goes into a dozen states in a row (windows, totals): rounded or hashed only once."""


@lru_cache(maxsize=_REMEMBERED, typed=True)
def coarse(value: Number, scale: int) -> Number:
    """Round toward zero to eight significant bits of its unscaled integer.

    >>> coarse(1000, 0)
    1000
    >>> coarse(1001, 0), coarse(Decimal("10.01"), 2)
    (1000, Decimal('10.00'))
    """
    unscaled = int(Decimal(value).scaleb(scale, context=_EXACT) if scale else value)
    shift = max(abs(unscaled).bit_length() - SIGNIFICANT_BITS, 0)
    kept = (abs(unscaled) >> shift) << shift
    signed = -kept if unscaled < 0 else kept
    return Decimal(signed).scaleb(-scale, context=_EXACT) if scale else signed


def hash_bits(value: object) -> int:
    """Return the 32 hash bits that decide whether a value is in a sample.

    They are the last eight hex digits of the MD5 of its text, which every SQL engine has.
    """
    return _text_bits(str(value))


@lru_cache(maxsize=_REMEMBERED)  # by text: 1.0 and 1.00 are one key, but not one text
def _text_bits(text: str) -> int:
    return int.from_bytes(md5(text.encode(), usedforsecurity=False).digest()[-4:], "big")


def _accumulate(into: dict[_V, int], counts: Mapping[_V, int], sign: int) -> None:
    """Add *sign* times *counts*, dropping what reaches zero; the hot loop of every fold."""
    if not into and sign > 0 and 0 not in counts.values():
        into.update(counts)
        return
    get = into.get
    for value, number in counts.items():
        left = get(value, 0) + number if sign > 0 else get(value, 0) - number
        if left:
            into[value] = left
        else:
            into.pop(value, None)


class Counted(Generic[_V]):
    """Values with how often each occurs: a dict while they change, packed bytes at rest."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[_V, int] | bytes = {}

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


class Multiset(Counted[Number]):
    """Values with how often each occurs."""

    __slots__ = ("coarse", "scale", "size")

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.size = 0
        self.coarse = False

    def merge(self, counts: Mapping[Number, int], *, sign: int = 1, rough: bool = False) -> None:
        """Add (or with *sign* -1 take back) counted values; *rough* says they are rounded."""
        if rough and not self.coarse:
            self._coarsen()
        if self.coarse and not rough:
            counts = self._coarse_counts(counts)
        mine = self._awake()
        _accumulate(mine, counts, sign)
        self.size += sign * sum(counts.values())
        if len(mine) > MULTISET_LIMIT and not self.coarse:
            self._coarsen()

    def take(self, counts: dict[Number, int], *, size: int, rough: bool) -> None:
        """Hold *counts* and nothing else."""
        self._held, self.size, self.coarse = counts, size, rough

    def copy(self) -> Multiset:
        """Return another one with the same values."""
        other = Multiset(self.scale)
        other.take(dict(self.counts), size=self.size, rough=self.coarse)
        return other

    def _unpacked(self, held: bytes) -> dict[Number, int]:
        counts = msgspec.msgpack.decode(held)
        if not self.scale:
            return counts  # type: ignore[no-any-return]
        return {
            Decimal(value) if value.__class__ is str else value: number
            for value, number in counts.items()
        }

    def _coarse_counts(self, counts: Mapping[Number, int]) -> dict[Number, int]:
        rounded: dict[Number, int] = {}
        for value, number in counts.items():
            key = coarse(value, self.scale)
            rounded[key] = rounded.get(key, 0) + number
        return rounded

    def _coarsen(self) -> None:
        self._held, self.coarse = self._coarse_counts(self.counts), True

    def __eq__(self, other: object) -> bool:
        """Compare what is held, and how coarsely."""
        return (
            isinstance(other, Multiset)
            and self.counts == other.counts
            and self.coarse == other.coarse
        )

    __hash__ = None  # type: ignore[assignment]

    def quantile(self, q: tuple[int, int]) -> Number | None:
        """Return the nearest-rank quantile, the value at rank ceil(q·n); null when empty."""
        if self.size <= 0:
            return None
        rank = -(-q[0] * self.size // q[1])
        seen, counts = 0, self.counts
        for value in sorted(counts):
            seen += counts[value]
            if seen >= rank:
                return value
        return None

    def minimum(self) -> Number | None:
        """Return the least value; null when empty."""
        return min(self.counts, default=None)

    def maximum(self) -> Number | None:
        """Return the greatest value; null when empty."""
        return max(self.counts, default=None)


class Distinct(Counted[object]):
    """Different values with how often each occurs, so that the last retraction removes it."""

    __slots__ = ("level",)

    def __init__(self) -> None:
        super().__init__()
        self.level = 0

    def merge(self, counts: Mapping[object, int], *, sign: int = 1, level: int = 0) -> None:
        """Add (or take back) counted values, which may themselves be a sample at *level*."""
        if level > self.level:
            self._sample(level)
        if self.level > level:
            counts = sampled(counts, self.level)
        mine = self._awake()
        _accumulate(mine, counts, sign)
        while len(mine) > DISTINCT_LIMIT:
            mine = self._sample(self.level + 1)

    def take(self, counts: dict[object, int], *, level: int) -> None:
        """Hold *counts* and nothing else."""
        self._held, self.level = counts, level

    def _sample(self, level: int) -> dict[object, int]:
        self.level = level
        self._held = mine = sampled(self.counts, level)
        return mine

    def __eq__(self, other: object) -> bool:
        """Compare what is held, and how finely it is sampled."""
        return (
            isinstance(other, Distinct)
            and self.counts == other.counts
            and self.level == other.level
        )

    __hash__ = None  # type: ignore[assignment]

    def estimate(self) -> int:
        """Return the number of different values; exact at level 0."""
        return len(self.counts) << self.level

    def error_bound(self) -> float:
        """Return three relative standard errors of the estimate; 0 when it is exact."""
        return sample_error(len(self.counts), self.level) if self.level else 0.0


def sample_error(size: int, level: int) -> float:
    """Return three relative standard errors of a count by a sample of *size*; 0 when exact."""
    return 3 / sqrt(size) if level and size else 0.0


def sampled(counts: Mapping[object, int], level: int) -> dict[object, int]:
    """Return what the sample at *level* holds of counted values."""
    mask = (1 << level) - 1
    return {value: number for value, number in counts.items() if not hash_bits(value) & mask}
