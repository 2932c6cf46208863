"""Offsets as one tenant sees them: opaque numbers, so that it cannot count what others send.

A log counts the events of all tenants. With API keys each tenant therefore sees offsets through a
permutation of its own: the same offset is always the same number, and goes back. The permutation is
a Feistel network over three words of 16 bits whose round functions are tables of random numbers,
drawn from the deployment's secret; it takes less than a microsecond, on the way of every event.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b, shake_256
from typing import Final

_BITS: Final = 48
_WORD: Final = 0xFFFF
_ROUNDS: Final = 4
_WORDS: Final = 3
_TABLE_BYTES: Final = 2 * (_WORD + 1)
_MASK_BYTES: Final = _BITS // 8
_SPACES: Final = 4_096
SEEN_BELOW: Final = 1 << _BITS
"""Numbers that are shown are below this, which every JSON reader holds exactly."""


class Offsets:
    """Turns offsets into the numbers a tenant sees, and back.

    Args:
        secret: The same on every replica and after every restart; empty where there is one tenant,
            which sees offsets as they are.
    """

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret
        self._rounds = _rounds(secret) if secret else ()
        self._masks = lru_cache(maxsize=_SPACES)(self._masks_of)

    def shown(self, tenant: str, topic: str, offset: int) -> int:
        """Return the number by which *tenant* knows an offset of *topic*.

        >>> Offsets().shown("acme", "validated", 7)
        7
        >>> Offsets(b"secret").shown("acme", "validated", 7) < SEEN_BELOW
        True
        """
        if not self._secret or not 0 <= offset < SEEN_BELOW:
            return offset
        before, after = self._masks(tenant, topic)
        mixed = offset ^ before
        a, b, c = mixed >> 32, mixed >> 16 & _WORD, mixed & _WORD
        for first, second, third in self._rounds:
            a ^= first[b]
            b ^= second[c]
            c ^= third[a]
        return (a << 32 | b << 16 | c) ^ after

    def shown_or_none(self, tenant: str, topic: str, offset: int | None) -> int | None:
        """Return the number of an offset, if there is one."""
        return None if offset is None else self.shown(tenant, topic, offset)

    def meant(self, tenant: str, topic: str, number: int) -> int:
        """Return the offset that *tenant* means; any offset, for a number that was never shown."""
        if not self._secret or not 0 <= number < SEEN_BELOW:
            return number
        before, after = self._masks(tenant, topic)
        mixed = number ^ after
        a, b, c = mixed >> 32, mixed >> 16 & _WORD, mixed & _WORD
        for first, second, third in reversed(self._rounds):
            c ^= third[a]
            b ^= second[c]
            a ^= first[b]
        return (a << 32 | b << 16 | c) ^ before

    def _masks_of(self, tenant: str, topic: str) -> tuple[int, int]:
        """Return what tells the permutations of tenants and topics apart, on both sides."""
        name = f"{len(tenant)}:{tenant}{topic}".encode("utf-8", "surrogatepass")
        key = blake2b(self._secret, digest_size=32, person=b"agentflow-mask").digest()
        drawn = blake2b(name, digest_size=2 * _MASK_BYTES, key=key).digest()
        before, after = drawn[:_MASK_BYTES], drawn[_MASK_BYTES:]
        return int.from_bytes(before, "big"), int.from_bytes(after, "big")


def _rounds(secret: bytes) -> Sequence[tuple[array[int], array[int], array[int]]]:
    """Return three tables for each round: of what each word is mixed with."""
    drawn = shake_256(b"agentflow offsets" + secret).digest(_ROUNDS * _WORDS * _TABLE_BYTES)
    tables = []
    for start in range(0, len(drawn), _TABLE_BYTES):
        table = array("H", drawn[start : start + _TABLE_BYTES])
        if sys.byteorder == "big":
            table.byteswap()
        tables.append(table)
    return tuple(zip(tables[::3], tables[1::3], tables[2::3], strict=True))
