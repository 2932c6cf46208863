"""When to ask again, and after how long: a pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_TRANSIENT: Final = frozenset({429, 502, 503, 504})
_FINAL_CODES: Final = frozenset({"not_yet_visible", "storage_full"})
"""Answers of a transient status that asking again at once does not change."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently to repeat a request that may be repeated.

    Only reads, and writes that carry an idempotency key, are ever repeated.

    Attributes:
        attempts: Requests in all, the first one included; 1 never repeats.
        first_delay_seconds: Doubled with each attempt, and shortened at random by up to a half so
            that many clients do not come back together.
        longest_delay_seconds: Waits never exceed this; a server that asks for more gets no retry.
    """

    attempts: int = 4
    first_delay_seconds: float = 0.1
    longest_delay_seconds: float = 5.0

    def delay_seconds(
        self, attempt: int, *, chance: float, retry_after_seconds: float | None = None
    ) -> float | None:
        """Return how long to wait after the attempt of that number, from 1; None to give up.

        Args:
            attempt: Which attempt failed.
            chance: A random number in [0, 1).
            retry_after_seconds: What the server asked for.
        """
        if attempt >= self.attempts:
            return None
        delay = min(self.first_delay_seconds * 2.0 ** (attempt - 1), self.longest_delay_seconds)
        if retry_after_seconds is None:
            return delay * (1 - chance / 2)
        if retry_after_seconds > self.longest_delay_seconds:
            return None
        return max(delay, retry_after_seconds)


def transient(status: int, code: str) -> bool:
    """Return whether the same request may succeed a little later."""
    return status in _TRANSIENT and code not in _FINAL_CODES
