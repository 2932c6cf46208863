"""Moments out of dates, clocks and time zones; the arithmetic of real timetables."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agentflow.clock import from_datetime, to_datetime
from agentflow.wording import quoted
from ingestion.replay.cells import CellError

UNITS_US: Final = {
    "us": 1,
    "ms": 1000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})\Z")
_COLONS = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?\Z")
_DIGITS = re.compile(r"[0-9]{1,4}\Z")
_DAY_SECONDS = 86_400
_EPOCH_DAY = date(1970, 1, 1).toordinal()


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Return an IANA time zone.

    Raises:
        CellError: There is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CellError(f"{quoted(name)} is not an IANA time zone") from None


@lru_cache(maxsize=4096)
def clock_seconds(text: str) -> int:
    """Return the seconds since midnight that a clock text says; 24:00 is the end of the day.

    >>> clock_seconds("517"), clock_seconds("05:17:30"), clock_seconds("2400")
    (19020, 19050, 86400)

    Raises:
        CellError: It is not a time of day.
    """
    if found := _COLONS.match(text):
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
    elif _DIGITS.match(text):
        hours, minutes, seconds = int(text) // 100, int(text) % 100, 0
    else:
        raise CellError(f"{quoted(text)} is not a time of day")
    total = hours * 3600 + minutes * 60 + seconds
    if minutes > 59 or seconds > 59 or total > _DAY_SECONDS:  # noqa: PLR2004 - a clock face
        raise CellError(f"{quoted(text)} is not a time of day")
    return total


def at(day_text: str, clock_text: str, zone_name: str) -> int:
    """Return the instant at which a clock in a zone shows a time on a date, in µs UTC.

    Of the two moments of an autumn hour that happens twice, the first; a time inside the hour that
    spring leaves out is read with the offset from before the change.

    >>> at("2013-1-1", "517", "America/New_York") == at("2013-01-01", "10:17", "UTC")
    True
    """
    return _local(_day(day_text), clock_seconds(clock_text), zone_name)


def first_after(start_us: int, clock_text: str, zone_name: str) -> int:
    """Return the first instant at or after *start_us* at which a clock in the zone shows a time.

    >>> first_after(at("2013-01-01", "23:00", "UTC"), "130", "UTC") == at(
    ...     "2013-01-02", "1:30", "UTC"
    ... )
    True
    """
    seconds = clock_seconds(clock_text)
    day = to_datetime(start_us).astimezone(zone(zone_name)).date() - timedelta(days=1)
    while (instant_us := _local(day, seconds, zone_name)) < start_us:
        day += timedelta(days=1)
    return instant_us


def _local(day: date, seconds: int, zone_name: str) -> int:
    offset_us = _offset_us(day, seconds // 60, zone_name)
    midnight_us = (day.toordinal() - _EPOCH_DAY) * _DAY_SECONDS * 1_000_000
    return midnight_us + seconds * 1_000_000 - offset_us


@lru_cache(maxsize=65_536)
def _offset_us(day: date, minute: int, zone_name: str) -> int:
    """Return the offset east of UTC at a local date and minute; zones change on whole minutes."""
    local = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minute)
    return from_datetime(local) - from_datetime(
        local.replace(tzinfo=zone(zone_name)).astimezone(UTC)
    )


@lru_cache(maxsize=4096)
def _day(text: str) -> date:
    found = _DATE.match(text)
    try:
        if found is None:
            return date.fromisoformat(text)
        return date(*(int(part) for part in found.groups()))
    except ValueError:
        raise CellError(f"{quoted(text)} is not a date") from None
