"""Reads values by the schema a record carries (`schemas.enable`): units and scales are in there."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from agentflow.clock import to_rfc3339
from ingestion.cdc.change import Row, Scalar

_DAY_US = 86_400_000_000
_Schema = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Described:
    """The schema of a record's payload."""

    fields: Mapping[str, _Schema]

    def row(self, part: str | None, row: Row) -> Row:
        """Return a row, or the key, with instants, days and decimals as text that says what it is.

        Args:
            part: `before` or `after`; None when the payload is the row.
            row: What the record holds there.
        """
        known = self.fields if part is None else _fields(self.fields.get(part, {}))
        return {name: _read(value, known.get(name, {})) for name, value in row.items()}


def described(document: object) -> tuple[object, Described | None]:
    """Return the payload of a document, and its schema if it came with one."""
    if isinstance(document, dict) and document.keys() == {"schema", "payload"}:
        schema = document["schema"]
        return document["payload"], Described(_fields(schema if isinstance(schema, dict) else {}))
    return document, None


def _fields(schema: _Schema) -> Mapping[str, _Schema]:
    listed = schema.get("fields")
    if not isinstance(listed, list):
        return {}
    return {
        str(field["field"]): cast("_Schema", field)
        for field in listed
        if isinstance(field, dict) and "field" in field
    }


def _read(value: Scalar, schema: _Schema) -> Scalar:
    if value is None:
        return None
    reader = _READERS.get(str(schema.get("name")))
    return value if reader is None else reader(value, schema)


def _instant(unit: int, per_unit: int) -> Callable[[Scalar, _Schema], Scalar]:
    def read(value: Scalar, _: _Schema) -> Scalar:
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        return to_rfc3339(value * unit // per_unit)

    return read


def _day(value: Scalar, _: _Schema) -> Scalar:
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    return to_rfc3339(value * _DAY_US)[:10]


def _clock(unit: int, per_unit: int) -> Callable[[Scalar, _Schema], Scalar]:
    def read(value: Scalar, _: _Schema) -> Scalar:
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        return to_rfc3339(value * unit // per_unit % _DAY_US)[11:-1]

    return read


def _decimal(value: Scalar, schema: _Schema) -> Scalar:
    parameters = schema.get("parameters")
    scale = parameters.get("scale") if isinstance(parameters, dict) else None
    if not isinstance(value, str) or not isinstance(scale, str):
        return value
    return _unscaled(value, int(scale))


def _variable(value: Scalar, _: _Schema) -> Scalar:
    if not isinstance(value, dict):
        return value
    text, scale = value.get("value"), value.get("scale")
    if not isinstance(text, str) or not isinstance(scale, int):
        return cast("Scalar", value)
    return _unscaled(text, scale)


def _unscaled(text: str, scale: int) -> str:
    number = int.from_bytes(b64decode(text, validate=True), "big", signed=True)
    if not -64 <= scale <= 64:  # noqa: PLR2004 - more than any database keeps
        raise ValueError("scale")
    sign, digits = ("-", str(-number)) if number < 0 else ("", str(number))
    if scale <= 0:
        return f"{sign}{digits}{'0' * -scale}"
    digits = digits.rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"


_READERS: Mapping[str, Callable[[Scalar, _Schema], Scalar]] = {
    "io.debezium.time.Date": _day,
    "org.apache.kafka.connect.data.Date": _day,
    "io.debezium.time.Timestamp": _instant(1000, 1),
    "org.apache.kafka.connect.data.Timestamp": _instant(1000, 1),
    "io.debezium.time.MicroTimestamp": _instant(1, 1),
    "io.debezium.time.NanoTimestamp": _instant(1, 1000),
    "io.debezium.time.Time": _clock(1000, 1),
    "org.apache.kafka.connect.data.Time": _clock(1000, 1),
    "io.debezium.time.MicroTime": _clock(1, 1),
    "io.debezium.time.NanoTime": _clock(1, 1000),
    "org.apache.kafka.connect.data.Decimal": _decimal,
    "io.debezium.data.VariableScaleDecimal": _variable,
}
