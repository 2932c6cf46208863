"""What a column holds, in one form for every connector, and as the event field it becomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from agentflow.clock import from_datetime, to_rfc3339
from agentflow.contracts.tables import ColumnType
from agentflow.events import canonical_json
from ingestion.cdc.change import Scalar

Converted = str | int | float | bool | None
_INTEGER = re.compile(r"-?[0-9]{1,30}\Z")
_DECIMAL = re.compile(r"-?[0-9]{1,60}(\.[0-9]{1,60})?\Z")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY_US = 86_400_000_000
_DIGITS = 60


class MisfitError(Exception):
    """A value is not what the source contract says its column holds."""


def column_value(value: Scalar, kind: ColumnType) -> Converted:
    """Return a value: decimals exact, instants RFC 3339 in UTC, days ISO, true or false.

    The same row gives the same value whether PostgreSQL or MariaDB sent it.

    Raises:
        MisfitError: The value is of another type.
    """
    if value is None:
        return None
    return _READERS[kind](value)


def field_value(value: Converted, kind: str) -> Converted:
    """Return a column's value as JSON has it in an event field of a type."""
    if value is None or kind in {"timestamp", "date", "boolean", "integer"}:
        return value
    if kind == "number":
        return float(value)
    return value if isinstance(value, str) else str(value)


def literal_value(text: str, kind: str) -> Converted:
    """Return a fixed value of a source contract as JSON has it in an event field of a type."""
    if kind == "integer":
        return int(text)
    return text == "true" if kind == "boolean" else text


def _misfit(wanted: str) -> MisfitError:
    return MisfitError(f"does not hold {wanted}")


def _string(value: Scalar) -> str:
    if not isinstance(value, str):
        raise _misfit("text")
    return value


def _integer(value: Scalar) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.match(value):
        return int(value)
    raise _misfit("a whole number")


def _decimal(value: Scalar) -> str:
    if isinstance(value, bool):
        raise _misfit("a decimal")
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < _DIGITS:
        return f"{value:f}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str) and _DECIMAL.match(value):
        return value
    raise _misfit("a decimal")


def _number(value: Scalar) -> float:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return float(value)
    raise _misfit("a number")


def _boolean(value: Scalar) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in {0, 1}:
        return value == 1
    raise _misfit("true or false")


def _day(value: Scalar) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return to_rfc3339(value * _DAY_US)[:10]
    if isinstance(value, str) and _DAY.match(value):
        return value[:10]
    raise _misfit("a day")


def _json(value: Scalar) -> str:
    """Return JSON with sorted keys: databases keep its text, or only its meaning."""
    try:
        document = msgspec.json.decode(value) if isinstance(value, str) else value
        return canonical_json(document).decode()
    except (msgspec.DecodeError, TypeError, ValueError) as error:
        raise _misfit("JSON") from error


def _time(value: Scalar) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return to_rfc3339(value % _DAY_US)[11:-1]
    return _string(value)


def _instant(unit: int, per_unit: int) -> Callable[[Scalar], str]:
    def read(value: Scalar) -> str:
        if isinstance(value, int) and not isinstance(value, bool) and unit:
            return to_rfc3339(value * unit // per_unit)
        if isinstance(value, str) and _DAY.match(value):
            return _zoned(value)
        raise _misfit("an instant" if unit else "an instant as text, only a number without a unit")

    return read


def _zoned(text: str) -> str:
    """Return an instant in UTC with microseconds; one without a zone is in UTC already."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise _misfit("an instant") from error
    return to_rfc3339(from_datetime(instant if instant.tzinfo else instant.replace(tzinfo=UTC)))


_READERS: Mapping[ColumnType, Callable[[Scalar], Converted]] = {
    "string": _string,
    "bytes": _string,
    "integer": _integer,
    "decimal": _decimal,
    "number": _number,
    "boolean": _boolean,
    "date": _day,
    "json": _json,
    "time": _time,
    "timestamp": _instant(0, 1),
    "timestamp_millis": _instant(1000, 1),
    "timestamp_micros": _instant(1, 1),
    "timestamp_nanos": _instant(1, 1000),
}
