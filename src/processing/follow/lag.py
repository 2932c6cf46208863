"""How far behind the stream we are: in messages, in seconds, and until when to wait.

Two kinds of evidence: where topics were seen to end, at a known instant, and that it could not
be said where they end. What is visible may be older than the first end that was not reached yet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SECOND_US: Final = 1_000_000
_MERGED_US: Final = 20_000
_MAX_OBSERVED: Final = 512
_SMOOTHING: Final = 0.3
_LONGEST_WAIT_SECONDS: Final = 300
_WAIT_WITHOUT_RATE_SECONDS: Final = 30


class ObservedEnds:
    """Where one partition was seen to end, and since when that was not reached. Oldest first."""

    __slots__ = ("_ends", "reached")

    def __init__(self) -> None:
        self._ends: deque[tuple[int, int]] = deque()
        self.reached = 0

    @property
    def end(self) -> int:
        """The furthest end that was seen."""
        return self._ends[-1][0] if self._ends else self.reached

    @property
    def since_us(self) -> int | None:
        """When the first end that is not reached was seen; None when all are."""
        return self._ends[0][1] if self._ends else None

    def observe(self, end: int, at_us: int) -> None:
        """Remember that the partition ended at *end*.

        Ends seen within moments are kept as one, at the earlier instant: memory is bounded, and
        the age that comes out is never too small.
        """
        if end <= self.end:
            return
        ends = self._ends
        if ends and (at_us - ends[-1][1] < _MERGED_US or len(ends) >= _MAX_OBSERVED):
            ends[-1] = (end, ends[-1][1])
        else:
            ends.append((end, at_us))

    def reach(self, position: int) -> None:
        """Remember that everything before *position* is visible."""
        self.reached = max(self.reached, position)
        while self._ends and self._ends[0][0] <= self.reached:
            self._ends.popleft()


class Drain:
    """How many raw records are settled each second, while there are any to settle."""

    def __init__(self) -> None:
        self.per_second = 0.0
        self._last: tuple[int, int] | None = None

    def sample(self, settled: int, *, behind: int, at_us: int) -> None:
        """Take a measurement; one made with nothing to do says nothing about what is possible."""
        last, self._last = self._last, (settled, at_us)
        if last is None or at_us <= last[1]:
            return
        rate = (settled - last[0]) * SECOND_US / (at_us - last[1])
        if behind <= 0 and rate <= self.per_second:
            return
        weight = _SMOOTHING if self.per_second else 1.0
        self.per_second += weight * (rate - self.per_second)


@dataclass(frozen=True, slots=True)
class Pressure:
    """How far behind the stream may be before intake asks its callers to come back later."""

    limit_events: int

    def retry_seconds(self, behind: int, per_second: float) -> int | None:
        """Return when there will be room again by the measured rate; None when there is room.

        Room begins at half of the limit, so that callers do not return to be refused again.
        """
        if behind <= self.limit_events:
            return None
        surplus = behind - self.limit_events // 2
        if per_second <= 0:
            return _WAIT_WITHOUT_RATE_SECONDS
        return max(1, min(-int(-surplus // per_second), _LONGEST_WAIT_SECONDS))


class Lag:
    """What is known of the distance between the stream and what is visible. One thread."""

    def __init__(self, *, since_us: int) -> None:
        """Begin without an answer of the broker: what is visible may be as old as *since_us*."""
        self.drain = Drain()
        self._partitions: dict[str, ObservedEnds] = {}
        self._uncertain_since_us: int | None = since_us

    @property
    def connected(self) -> bool:
        """Whether the last attempt to learn where the topics end was a success."""
        return self._uncertain_since_us is None

    def observe(self, ends: Mapping[str, int], *, at_us: int) -> None:
        """Remember where partitions ended at an instant."""
        for partition, end in ends.items():
            self._partition(partition).observe(end, at_us)

    def heard(self, ends: Mapping[str, int], *, at_us: int) -> None:
        """Remember ends the broker told, which also says that it is there."""
        self._uncertain_since_us = None
        self.observe(ends, at_us=at_us)

    def lost(self, *, at_us: int) -> None:
        """Remember that from this instant it is not known whether there is more."""
        if self._uncertain_since_us is None:
            self._uncertain_since_us = at_us

    def reach(self, positions: Mapping[str, int]) -> None:
        """Remember what is visible now."""
        for partition, position in positions.items():
            self._partition(partition).reach(position)

    @property
    def waiting_since_us(self) -> int | None:
        """Since when there may be something that is not visible; None when there is nothing."""
        instants = [
            partition.since_us
            for partition in self._partitions.values()
            if partition.since_us is not None
        ]
        if self._uncertain_since_us is not None:
            instants.append(self._uncertain_since_us)
        return min(instants, default=None)

    def overdue(self, *, before_us: int) -> list[tuple[str, int]]:
        """Return (partition, end) where an end seen before that instant is not reached.

        That end may be one nothing will ever come from: the mark of a transaction.
        """
        return [
            (name, partition.end)
            for name, partition in self._partitions.items()
            if partition.since_us is not None and partition.since_us < before_us
        ]

    def ends(self) -> dict[str, int]:
        """Return the furthest end seen of every partition."""
        return {name: partition.end for name, partition in self._partitions.items()}

    def _partition(self, name: str) -> ObservedEnds:
        partition = self._partitions.get(name)
        if partition is None:
            partition = self._partitions[name] = ObservedEnds()
        return partition
