"""Reads values by the schema a record carries (`schemas.enable`): units and scales are in there."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from ingestion.cdc.change import RowImage, Scalar
from ingestion.cdc.temporal import ColumnValueError, clock_text, day_text, instant_text

_Schema = Mapping[str, object]
_SCALE = re.compile(r"-?[0-9]{1,3}\Z")


class DescribedRow(Mapping[str, Scalar]):
    """A row whose columns are decoded when they are read, so that an unread one refuses nothing.

    Reading a column raises `ColumnValueError` when its value is not what its schema says.
    """

    __slots__ = ("_row", "_schemas")

    def __init__(self, row: RowImage, schemas: Mapping[str, _Schema]) -> None:
        self._row = row
        self._schemas = schemas

    def __getitem__(self, name: str) -> Scalar:
        return _read(self._row[name], self._schemas.get(name, {}))

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, name: object) -> bool:
        return name in self._row

    def __repr__(self) -> str:
        return f"DescribedRow({dict(self._row)!r})"

    def told(self) -> RowImage:
        """Return all columns, those that cannot be decoded as the record holds them."""
        return {name: self._told(name) for name in self._row}

    def _told(self, name: str) -> Scalar:
        try:
            return self[name]
        except ColumnValueError:
            return self._row[name]


@dataclass(frozen=True, slots=True)
class PayloadSchema:
    """The schema of a record's payload."""

    fields: Mapping[str, _Schema]

    def row(self, part: str | None, row: RowImage) -> RowImage:
        """Return a row, or the key, with instants, days and decimals as text that says what it is.

        Args:
            part: `before` or `after`; None when the payload is the row.
            row: What the record holds there.
        """
        known = self.fields if part is None else _fields(self.fields.get(part, {}))
        return DescribedRow(row, known)


def told(row: RowImage) -> RowImage:
    """Return all columns of a row, whether a contract reads them or not."""
    return row.told() if isinstance(row, DescribedRow) else row


def described(document: object) -> tuple[object, PayloadSchema | None]:
    """Return the payload of a document, and its schema if it came with one."""
    if isinstance(document, dict) and document.keys() == {"schema", "payload"}:
        schema = document["schema"]
        return document["payload"], PayloadSchema(
            _fields(schema if isinstance(schema, dict) else {})
        )
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
        return instant_text(value, unit=unit, per_unit=per_unit)

    return read


def _day(value: Scalar, _: _Schema) -> Scalar:
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    return day_text(value)


def _clock(unit: int, per_unit: int) -> Callable[[Scalar, _Schema], Scalar]:
    def read(value: Scalar, _: _Schema) -> Scalar:
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        return clock_text(value, unit=unit, per_unit=per_unit)

    return read


def _decimal(value: Scalar, schema: _Schema) -> Scalar:
    parameters = schema.get("parameters")
    scale = parameters.get("scale") if isinstance(parameters, dict) else None
    if not isinstance(value, str) or not isinstance(scale, str):
        return value
    if not _SCALE.match(scale):
        raise ColumnValueError("holds a decimal of a scale that no database has")
    return _unscaled(value, int(scale))


def _variable(value: Scalar, _: _Schema) -> Scalar:
    if not isinstance(value, dict):
        return value
    text, scale = value.get("value"), value.get("scale")
    if not isinstance(text, str) or not isinstance(scale, int):
        return cast("Scalar", value)
    return _unscaled(text, scale)


def _unscaled(text: str, scale: int) -> str:
    try:
        number = int.from_bytes(b64decode(text, validate=True), "big", signed=True)
    except Base64Error:
        raise ColumnValueError("does not hold a decimal") from None
    if not -64 <= scale <= 64:  # noqa: PLR2004 - more than any database keeps
        raise ColumnValueError("holds a decimal of a scale that no database has")
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
