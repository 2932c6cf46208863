"""Limits guesses: how many wrong keys an address may send before its keys are not looked at.

A key that was right before from the same address is still taken meanwhile, so that a colleague
behind the same proxy does not lock anyone out.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from math import ceil
from typing import Final

_MOST_ADDRESSES: Final = 4_096
_MOST_CALLERS: Final = 16_384
_MINUTE_US: Final = 60_000_000


@dataclass(slots=True)
class _Guesses:
    """What an address has left: `per_minute` at once, and as many more each minute."""

    left: float
    filled_us: int


class WrongKeys:
    """Counts wrong keys by address. One event loop; memory is bounded.

    Args:
        per_minute: How many an address may send in a minute; 0 means no limit.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._guesses: OrderedDict[str, _Guesses] = OrderedDict()
        self._right: set[tuple[str, str]] = set()
        self.blocking = False

    def note_wrong(self, address: str, now_us: int) -> None:
        """Count a wrong key."""
        if not self._per_minute:
            return
        guesses = self._filled(address, now_us)
        guesses.left -= 1
        self._guesses[address] = guesses
        self._guesses.move_to_end(address)
        while len(self._guesses) > _MOST_ADDRESSES:
            self._guesses.popitem(last=False)
        self.blocking = self.blocking or guesses.left < 1

    def note_right(self, address: str, bucket: str) -> None:
        """Remember that a key was right, unless its address is guessing."""
        if (address, bucket) not in self._right:
            if len(self._right) >= _MOST_CALLERS:
                self._right.clear()
            self._right.add((address, bucket))

    def retry_seconds(self, address: str, bucket: str | None, now_us: int) -> int:
        """Return how long the keys of *address* are not looked at; 0 when they are.

        Args:
            address: Who asks.
            bucket: Whose key it is, if it is one.
            now_us: The present instant.
        """
        if not self.blocking:
            return 0
        guesses = self._guesses.get(address)
        if guesses is None or (bucket is not None and (address, bucket) in self._right):
            return 0
        left = self._filled(address, now_us).left
        if left >= 1:
            self.blocking = any(self._filled(each, now_us).left < 1 for each in self._guesses)
            return 0
        return max(1, ceil((1 - left) * 60 / self._per_minute))

    def _filled(self, address: str, now_us: int) -> _Guesses:
        held = self._guesses.get(address)
        if held is None:
            return _Guesses(float(self._per_minute), now_us)
        more = max(0, now_us - held.filled_us) * self._per_minute / _MINUTE_US
        held.left = min(float(self._per_minute), held.left + more)
        held.filled_us = max(held.filled_us, now_us)
        return held
