"""What a measurement gives: figures with their goals, and what they were measured under."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil, inf, isfinite
from typing import Literal

import msgspec

Sense = Literal["at_most", "at_least"]
Context = Mapping[str, float | str]


class Figure(msgspec.Struct, frozen=True):
    """One number and what it should be.

    Attributes:
        sense: On which side of the goal is good.
        context: What else was seen in the same run, in words or numbers.
    """

    name: str
    value: float
    goal: float
    unit: str
    sense: Sense
    context: Context = {}

    @property
    def met(self) -> bool:
        """Whether the goal is reached; what could not be measured does not reach it."""
        if not isfinite(self.value):
            return False
        return self.value <= self.goal if self.sense == "at_most" else self.value >= self.goal

    @property
    def margin(self) -> float:
        """The value over the goal, or the goal over the value: 1 or more is good."""
        if not isfinite(self.value) or self.value <= 0:
            return 0.0
        return self.goal / self.value if self.sense == "at_most" else self.value / self.goal


Measure = Callable[[float], Iterable[Figure]]
"""A measurement; the argument scales its length, 1 is what is published."""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile; infinite for nothing."""
    ordered = sorted(values)
    return ordered[max(ceil(share * len(ordered)) - 1, 0)] if ordered else inf


def median(values: Sequence[float]) -> float:
    """Return the middle value, the lower one of two."""
    return percentile(values, 0.5)
