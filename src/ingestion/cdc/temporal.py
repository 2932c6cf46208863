"""Days, instants and times of day as exact text; what would lose something is a misfit. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from agentflow.clock import from_datetime, to_rfc3339

_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})Z?\Z")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?\Z", re.DOTALL)
_FINER = re.compile(r"\.[0-9]{6}0*[1-9]")
_CLOCK = re.compile(r"([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6}))?Z?\Z")
_DAY_US = 86_400_000_000
_HOUR_US = 3_600_000_000
_MINUTE_US = 60_000_000
_SECOND_US = 1_000_000
_LONGEST_US = 839 * _HOUR_US - 1
_CALENDAR_CHANGED = "1582-10-15"
_CALENDAR_SETTLED = "1582-10-25"


class ColumnValueError(Exception):
    """A value is not what its column is said to hold, or cannot be told exactly."""


def instant_text(number: int, *, unit: int = 1, per_unit: int = 1) -> str:
    """Return an instant of `number * unit / per_unit` microseconds since 1970.

    Raises:
        ColumnValueError: Finer than a microsecond or outside the years 1 to 9999, as infinity is.
    """
    instant_us, finer = divmod(number * unit, per_unit)
    if finer:
        raise ColumnValueError("holds an instant that is finer than a microsecond")
    try:
        return to_rfc3339(instant_us)
    except OverflowError:
        raise ColumnValueError("holds an instant outside the years 1 to 9999") from None


def instant_of(text: str) -> str:
    """Return ISO text of an instant in UTC with microseconds; one without a zone is in UTC already.

    Raises:
        ColumnValueError: It is not one, is finer than that, or is outside the years 1 to 9999.
    """
    if not _INSTANT.match(text):
        raise ColumnValueError("does not hold an instant of the years 1 to 9999")
    if _FINER.search(text):
        raise ColumnValueError("holds an instant that is finer than a microsecond")
    try:
        instant = datetime.fromisoformat(text)
        aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        return to_rfc3339(from_datetime(aware))
    except (ValueError, OverflowError):
        raise ColumnValueError("does not hold an instant of the years 1 to 9999") from None


def day_text(days: int) -> str:
    """Return the day that many days after 1970-01-01.

    Raises:
        ColumnValueError: It is outside the years 1 to 9999 (infinity is).
    """
    try:
        return to_rfc3339(days * _DAY_US)[:10]
    except OverflowError:
        raise ColumnValueError("holds a day outside the years 1 to 9999") from None


def day_of(text: str) -> str:
    """Return the day that ISO text names; an instant is not cut to its day.

    Raises:
        ColumnValueError: It does not name one.
    """
    found = _DAY.match(text)
    try:
        return date.fromisoformat(found[1] if found else text[:0]).isoformat()
    except ValueError:
        raise ColumnValueError("does not hold a day of the years 1 to 9999") from None


def clock_text(number: int, *, unit: int = 1, per_unit: int = 1) -> str:
    """Return a time of `number * unit / per_unit` microseconds after midnight.

    PostgreSQL has 24:00, MariaDB and MySQL have -838:59:59 to 838:59:59: nothing wraps around.

    >>> clock_text(95_400_000_000), clock_text(-3_600_000_001)
    ('26:30:00.000000', '-01:00:00.000001')

    Raises:
        ColumnValueError: It is finer than a microsecond, or longer than any database has.
    """
    clock_us, finer = divmod(number * unit, per_unit)
    if finer or abs(clock_us) > _LONGEST_US:
        raise ColumnValueError("does not hold a time of day")
    hours, rest = divmod(abs(clock_us), _HOUR_US)
    minutes, rest = divmod(rest, _MINUTE_US)
    seconds, micros = divmod(rest, _SECOND_US)
    sign = "-" if clock_us < 0 else ""
    return f"{sign}{hours:02d}:{minutes:02d}:{seconds:02d}.{micros:06d}"


def clock_of(text: str) -> str:
    """Return a time of day with microseconds.

    Raises:
        ColumnValueError: It is not one.
    """
    found = _CLOCK.match(text)
    if found is None:
        raise ColumnValueError("does not hold a time of day")
    return f"{found[1]}.{(found[2] or '').ljust(6, '0')}"


def misread_in_snapshot(text: str, *, day: bool, connector: str) -> bool:
    """Tell whether Debezium may have moved an old day or instant while it read a snapshot.

    JDBC counts days before 1582-10-15 by the Julian calendar: it moves those that this calendar
    lacks by ten days, and PostgreSQL's instants before that day by days that depend on the century
    (Debezium 3.5, 2026-11-30, `tests/golden/cdc`). What is streamed is exact.
    """
    if connector == "postgresql" and not day:
        return text < _CALENDAR_SETTLED
    return _CALENDAR_CHANGED <= text < _CALENDAR_SETTLED
