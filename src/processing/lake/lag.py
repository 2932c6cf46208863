"""How far the lake is behind the log, in events and in time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from agentflow.clock import Clock
from ingestion.log.port import VALIDATED, CommitLog
from processing.lake import LakeSync

LAKE_BUDGET: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class LakeLag:
    """What the lake does not hold yet.

    Attributes:
        seconds: How long ago the oldest of it was taken in.
    """

    events: int
    seconds: float


class LakeLagMeter:
    """Measures it. Any thread; reads the log once for each batch that the lake takes."""

    def __init__(self, log: CommitLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._started_us = clock.now_us()
        self._oldest: tuple[int, int] | None = None

    def measure(self, lake: LakeSync) -> LakeLag:
        """Return how far *lake* is behind; one that was never seen is as old as this process."""
        end, covered = self._log.end(VALIDATED), lake.covered.validated
        if covered >= end:
            return LakeLag(0, 0.0)
        if not covered and lake.seen is None:
            since_us = self._started_us
        else:
            since_us = self._taken_us(covered)
        return LakeLag(end - covered, max(self._clock.now_us() - since_us, 0) / 1_000_000)

    def _taken_us(self, offset: int) -> int:
        """Return when the first event from *offset* on was taken in."""
        known = self._oldest
        if known is None or known[0] != offset:
            records = self._log.read(VALIDATED, start=offset, limit=1)
            at_us = records[0].timestamp_us if records else self._clock.now_us()
            known = self._oldest = (offset, at_us)
        return known[1]
