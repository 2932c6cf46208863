"""From a cell of a file to a typed value, or to a sentence about what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from agentflow.clock import from_datetime
from ingestion.replay.shape import CellType, Column

Cell: TypeAlias = "str | int | float | bool | Decimal | datetime | date | None"
"""What a reader may put into a row: text from CSV, more from JSON and Parquet."""
Value: TypeAlias = "str | int | float | bool | Decimal | None"
"""A named value: timestamps are microseconds since the epoch, dates ISO text."""
Parser: TypeAlias = Callable[[Cell], Value]

EPOCH_UNITS_US: Final[Mapping[str, int]] = {"epoch_s": 1_000_000, "epoch_ms": 1000, "epoch_us": 1}
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}\Z")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]*)?\Z")
_BOOLEANS: Mapping[str, bool] = {"true": True, "false": False, "1": True, "0": False}
_INTEGER_LIMIT = 2**63


class CellError(ValueError):
    """A cell does not hold what its column says."""


def parser_of(column: Column, nulls: tuple[str, ...]) -> Parser:
    """Return the function that reads the cells of *column*; it raises CellError."""
    missing = frozenset(column.nulls if column.nulls is not None else nulls)
    parse = _PARSERS[column.type](column)

    def read(cell: Cell) -> Value:
        if cell is None or (isinstance(cell, str) and cell in missing):
            return None
        return parse(cell)

    return read


def _string(_column: Column) -> Parser:
    def parse(cell: Cell) -> Value:
        if isinstance(cell, bool):
            return "true" if cell else "false"
        if isinstance(cell, str | int | Decimal):
            return str(cell)
        if isinstance(cell, date):
            return cell.isoformat()
        raise CellError(f"{_shown(cell)} is not text")

    return parse


def _integer(_column: Column) -> Parser:
    def parse(cell: Cell) -> Value:
        if isinstance(cell, str) and _INTEGER.match(cell):
            cell = int(cell)
        if isinstance(cell, float) and cell.is_integer():
            cell = int(cell)  # pandas writes integer columns with gaps as floats
        if isinstance(cell, int) and not isinstance(cell, bool):
            if -_INTEGER_LIMIT <= cell < _INTEGER_LIMIT:
                return cell
            raise CellError(f"{cell} does not fit 64 bits")
        raise CellError(f"{_shown(cell)} is not a whole number")

    return parse


def _decimal(column: Column) -> Parser:
    scale = column.scale or 0

    def parse(cell: Cell) -> Value:
        if isinstance(cell, bool) or not isinstance(cell, str | int | float | Decimal):
            raise CellError(f"{_shown(cell)} is not a decimal number")
        text = format(cell, "f") if isinstance(cell, Decimal) else str(cell)
        if not _DECIMAL.match(text):
            raise CellError(f"{_shown(cell)} is not a decimal number of up to 18 digits")
        try:
            number = Decimal(text)
        except (
            InvalidOperation
        ):  # pragma: no cover - the pattern admits nothing that Decimal refuses
            raise CellError(f"{_shown(cell)} is not a decimal number") from None
        if number != round(number, scale):
            raise CellError(f"{_shown(cell)} has more than {scale} digits after the point")
        return round(number, scale)

    return parse


def _number(_column: Column) -> Parser:
    def parse(cell: Cell) -> Value:
        if not isinstance(cell, bool) and isinstance(cell, str | int | float | Decimal):
            try:
                number = float(cell)
            except (ValueError, OverflowError):
                number = float("nan")
            if isfinite(number):
                return number
        raise CellError(f"{_shown(cell)} is not a finite number")

    return parse


def _boolean(_column: Column) -> Parser:
    def parse(cell: Cell) -> Value:
        if isinstance(cell, bool):
            return cell
        try:
            return _BOOLEANS[str(cell).lower()]
        except KeyError:
            raise CellError(f"{_shown(cell)} is neither true nor false") from None

    return parse


def _timestamp(column: Column) -> Parser:
    zone = ZoneInfo(column.zone) if column.zone else None
    form = column.format or "rfc3339"
    if form in EPOCH_UNITS_US:
        return _epoch(EPOCH_UNITS_US[form])

    def parse(cell: Cell) -> Value:
        moment = cell if isinstance(cell, datetime) else _moment(cell, form)
        if moment.tzinfo is None:
            if zone is None:
                raise CellError(f"{_shown(cell)} has no time zone, and the column names none")
            moment = moment.replace(tzinfo=zone)
        try:
            return from_datetime(moment.astimezone(UTC))
        except OverflowError:
            raise CellError(f"{_shown(cell)} is outside the years 1 to 9999") from None

    return parse


def _epoch(unit_us: int) -> Parser:
    def parse(cell: Cell) -> Value:
        if isinstance(cell, bool) or not isinstance(cell, str | int | float | Decimal):
            raise CellError(f"{_shown(cell)} is not a time since the epoch")
        if not _DECIMAL.match(str(cell)):
            raise CellError(f"{_shown(cell)} is not a time since the epoch")
        return int(Decimal(str(cell)) * unit_us)

    return parse


def _moment(cell: Cell, form: str) -> datetime:
    try:
        if form == "rfc3339":
            return datetime.fromisoformat(str(cell))
        return datetime.strptime(str(cell), form)  # noqa: DTZ007 - the zone is added by the caller
    except ValueError:
        raise CellError(f"{_shown(cell)} is not a time written as {form}") from None


def _date(column: Column) -> Parser:
    form = column.format

    def parse(cell: Cell) -> Value:
        if isinstance(cell, datetime):
            return cell.date().isoformat()
        if isinstance(cell, date):
            return cell.isoformat()
        try:
            if form is None:
                return date.fromisoformat(str(cell)).isoformat()
            return _moment(cell, form).date().isoformat()
        except ValueError:
            raise CellError(f"{_shown(cell)} is not a date written as {form or 'Y-m-d'}") from None

    return parse


_PARSERS: Mapping[CellType, Callable[[Column], Parser]] = {
    "string": _string,
    "integer": _integer,
    "decimal": _decimal,
    "number": _number,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "date": _date,
}


def _shown(cell: object) -> str:
    text = str(cell)
    return f'"{text if len(text) <= 40 else text[:39] + "…"}"'  # noqa: PLR2004 - fits a line
