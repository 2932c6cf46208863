"""Time is an argument."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Something that knows what time it is."""

    def now_us(self) -> int:
        """Return the current time, in microseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The clock on the wall."""

    def now_us(self) -> int:
        """Return the machine's time, in microseconds since the epoch, UTC."""
        return time.time_ns() // 1000


class ManualClock:
    """A clock that stands still until told otherwise; for simulations and tests."""

    def __init__(self, now_us: int = 0) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        """Return the time this clock was last set to."""
        return self._now_us

    def advance(self, duration: timedelta) -> None:
        """Move the clock forward by *duration*."""
        self._now_us += duration // MICROSECOND


def to_datetime(instant_us: int) -> datetime:
    """Return the aware UTC datetime of *instant_us*.

    >>> to_datetime(0).isoformat()
    '1970-01-01T00:00:00+00:00'
    """
    return EPOCH + timedelta(microseconds=instant_us)


def from_datetime(instant: datetime) -> int:
    """Return microseconds since the epoch of an aware datetime, exactly.

    >>> from_datetime(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (instant - EPOCH) // MICROSECOND


def to_rfc3339(instant_us: int) -> str:
    """Render an instant the way every AgentFlow surface does: UTC, microseconds, `Z`.

    >>> to_rfc3339(1)
    '1970-01-01T00:00:00.000001Z'
    """
    return f"{to_datetime(instant_us).isoformat(timespec='microseconds')[:-6]}Z"
