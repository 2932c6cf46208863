"""What a column holds, in one form for every connector, and as the event field it becomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isfinite

import msgspec

from agentflow.contracts.tables import ColumnType
from agentflow.events import canonical_json
from ingestion.cdc.change import Scalar
from ingestion.cdc.temporal import (
    ColumnValueError,
    clock_of,
    clock_text,
    day_of,
    day_text,
    instant_of,
    instant_text,
)

Converted = str | int | float | bool | None
_INTEGER = re.compile(r"-?[0-9]{1,30}\Z")
_DECIMAL = re.compile(r"-?[0-9]{1,60}(\.[0-9]{1,60})?\Z")
_DIGITS = 60


def column_value(value: Scalar, kind: ColumnType) -> Converted:
    """Return a value: decimals exact, instants RFC 3339 in UTC, days ISO, true or false.

    The same row gives the same value whether PostgreSQL or MariaDB sent it.

    Raises:
        ColumnValueError: The value is of another type, or cannot be told exactly.
    """
    if value is None:
        return None
    return _READERS[kind](value)


def field_value(value: Converted, kind: str) -> Converted:
    """Return a column's value as JSON has it in an event field of a type.

    Raises:
        ColumnValueError: The field cannot hold it exactly.
    """
    if value is None or kind in {"timestamp", "date", "boolean", "integer"}:
        return value
    if kind == "number":
        return _exact_float(value) if isinstance(value, int) else float(value)
    return value if isinstance(value, str) else str(value)


def literal_value(text: str, kind: str) -> Converted:
    """Return a fixed value of a source contract as JSON has it in an event field of a type."""
    if kind == "integer":
        return int(text)
    return text == "true" if kind == "boolean" else text


def _misfit(wanted: str) -> ColumnValueError:
    return ColumnValueError(f"does not hold {wanted}")


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
    raise _misfit(f"a decimal of up to {_DIGITS} digits on either side of the point")


def _number(value: Scalar) -> float:
    if isinstance(value, bool):
        raise _misfit("a number")
    if isinstance(value, int):
        return _exact_float(value)
    if isinstance(value, float | Decimal) and isfinite(number := float(value)):
        return number
    raise _misfit("a finite number")


def _exact_float(value: int) -> float:
    number = float(value)
    if int(number) != value:
        raise ColumnValueError("holds a whole number that a float cannot hold exactly")
    return number


def _boolean(value: Scalar) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in {0, 1}:
        return value == 1
    raise _misfit("true or false")


def _day(value: Scalar) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return day_text(value)
    if isinstance(value, str):
        return day_of(value)
    raise _misfit("a day")


def _json(value: Scalar) -> str:
    """Return JSON with sorted keys: databases keep its text, or only its meaning."""
    try:
        document = _decode_json(value) if isinstance(value, str) else value
        document, exact = _with_floats(document)
        if exact:
            return canonical_json(document).decode()
        return _encode_json(document).decode()
    except (msgspec.DecodeError, ArithmeticError, TypeError, ValueError) as error:
        raise _misfit("JSON") from error


_decode_json = msgspec.json.Decoder(float_hook=Decimal).decode
_encode_json = msgspec.json.Encoder(decimal_format="number", order="sorted").encode


def _with_floats(document: object) -> tuple[object, bool]:
    """Return JSON with floats where they are exact, and whether they are everywhere."""
    if isinstance(document, Decimal):
        number = float(document)
        exact = isfinite(number) and Decimal(repr(number)) == document
        return (number, True) if exact else (document, False)
    if isinstance(document, list):
        items = [_with_floats(item) for item in document]
        return [item for item, _ in items], all(exact for _, exact in items)
    if isinstance(document, dict):
        members = {name: _with_floats(member) for name, member in document.items()}
        plain = {name: member for name, (member, _) in members.items()}
        return plain, all(exact for _, exact in members.values())
    return document, True


def _time(value: Scalar) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return clock_text(value)
    if isinstance(value, str):
        return clock_of(value)
    raise _misfit("a time of day")


def _instant(unit: int, per_unit: int) -> Callable[[Scalar], str]:
    def read(value: Scalar) -> str:
        if isinstance(value, int) and not isinstance(value, bool) and unit:
            return instant_text(value, unit=unit, per_unit=per_unit)
        if isinstance(value, str):
            return instant_of(value)
        raise _misfit("an instant" if unit else _UNITLESS)

    return read


_UNITLESS = "an instant as text, only a number without a unit: say timestamp_micros"
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
