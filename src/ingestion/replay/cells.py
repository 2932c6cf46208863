"""From a cell of a file to a typed value, or to a sentence about what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from agentflow.clock import from_datetime
from agentflow.wording import quoted
from ingestion.replay.numerals import plain_number
from ingestion.replay.shape import CellType, FileColumn, MappingContract, Numbers

Cell: TypeAlias = "str | int | float | bool | Decimal | datetime | date | None"
"""What a reader may put into a row: text from CSV, more from JSON and Parquet."""
CellValue: TypeAlias = "str | int | float | bool | Decimal | None"
"""A named value: timestamps are microseconds since the epoch, dates ISO text."""
Parser: TypeAlias = Callable[[Cell], CellValue]

EPOCH_UNITS_US: Final[Mapping[str, int]] = {"epoch_s": 1_000_000, "epoch_ms": 1000, "epoch_us": 1}
# As JSON writes numbers, and so as every other way in reads them: no plus, no zeros before it.
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})\Z")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]+)?\Z")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?\Z")
_SPELLED = re.compile(r"(\+|-?0[0-9])[0-9.]*\Z")
_FINER = re.compile(r"\.[0-9]{6}0*[1-9]")
_BOOLEANS: Mapping[str, bool] = {"true": True, "false": False, "1": True, "0": False}
_INTEGER_LIMIT = 2**63


class CellError(ValueError):
    """A cell does not hold what its column says."""


def parser_of(column: FileColumn, mapping: MappingContract) -> Parser:
    """Return the function that reads the cells of *column*; it raises CellError."""
    missing = frozenset(column.nulls if column.nulls is not None else mapping.nulls)
    parse = _PARSERS[column.type](column)
    plain = _plain_of(column, mapping.numbers)

    def read(cell: Cell) -> CellValue:
        if isinstance(cell, str):
            return None if cell in missing else parse(plain(cell))
        return None if cell is None else parse(cell)

    return read


def _plain_of(column: FileColumn, numbers: Numbers) -> Callable[[str], str]:
    """Return what rewrites the text of a cell before it is parsed: numbers, if they need it."""
    if column.type not in {"integer", "decimal", "number"}:
        return str
    written = column.numbers or numbers
    if written == Numbers():
        return str

    example = f"1{written.thousands or ''}234{written.decimal}5"

    def plain(text: str) -> str:
        found = plain_number(text, decimal=written.decimal, thousands=written.thousands)
        if found is None:
            raise CellError(f"{_shown(text)} is not a number written like {example}")
        return found

    return plain


def _string(_column: FileColumn) -> Parser:
    def parse(cell: Cell) -> CellValue:
        if isinstance(cell, bool):
            return "true" if cell else "false"
        if isinstance(cell, str | int | Decimal):
            return str(cell)
        if isinstance(cell, date):
            return cell.isoformat()
        raise CellError(f"{_shown(cell)} is not text")

    return parse


def _integer(_column: FileColumn) -> Parser:
    def parse(cell: Cell) -> CellValue:
        if isinstance(cell, str) and _INTEGER.match(cell):
            cell = int(cell)
        if isinstance(cell, float | Decimal) and cell == cell // 1:
            cell = int(cell)  # pandas writes integer columns with gaps as floats
        if isinstance(cell, int) and not isinstance(cell, bool):
            if -_INTEGER_LIMIT <= cell < _INTEGER_LIMIT:
                return cell
            raise CellError(f"{cell} does not fit 64 bits")
        raise CellError(f"{_shown(cell)} is not a whole number{_as_json(cell)}")

    return parse


def _decimal(column: FileColumn) -> Parser:
    scale = column.scale or 0

    def parse(cell: Cell) -> CellValue:
        if isinstance(cell, bool) or not isinstance(cell, str | int | float | Decimal):
            raise CellError(f"{_shown(cell)} is not a decimal number")
        text = format(cell, "f") if isinstance(cell, Decimal) else str(cell)
        if not _DECIMAL.match(text):
            raise CellError(
                f"{_shown(cell)} is not a decimal number of up to 18 digits{_as_json(cell)}"
            )
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


def _number(_column: FileColumn) -> Parser:
    def parse(cell: Cell) -> CellValue:
        if not isinstance(cell, bool) and isinstance(cell, str | int | float | Decimal):
            try:
                number = float(cell) if _NUMBER.match(str(cell)) else float("nan")
            except OverflowError:
                number = float("inf")
            if isfinite(number):
                return number
        raise CellError(f"{_shown(cell)} is not a finite number{_as_json(cell)}")

    return parse


def _boolean(_column: FileColumn) -> Parser:
    def parse(cell: Cell) -> CellValue:
        if isinstance(cell, bool):
            return cell
        try:
            return _BOOLEANS[str(cell).lower()]
        except KeyError:
            raise CellError(f"{_shown(cell)} is neither true nor false") from None

    return parse


def _timestamp(column: FileColumn) -> Parser:
    zone = ZoneInfo(column.zone) if column.zone else None
    form = column.format or "rfc3339"
    if form in EPOCH_UNITS_US:
        return _epoch(EPOCH_UNITS_US[form])

    def parse(cell: Cell) -> CellValue:
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
    def parse(cell: Cell) -> CellValue:
        if isinstance(cell, bool) or not isinstance(cell, str | int | float | Decimal):
            raise CellError(f"{_shown(cell)} is not a time since the epoch")
        if not _DECIMAL.match(str(cell)):
            raise CellError(f"{_shown(cell)} is not a time since the epoch")
        instant_us = Decimal(str(cell)) * unit_us
        if instant_us != int(instant_us):
            raise CellError(f"{_shown(cell)} is finer than a microsecond")
        return int(instant_us)

    return parse


def _as_json(cell: Cell) -> str:
    """Say what is wrong with a number that people can read."""
    readable = isinstance(cell, str) and _SPELLED.match(cell)
    return " as JSON writes it: no plus, no zeros before it" if readable else ""


def _moment(cell: Cell, form: str) -> datetime:
    text = str(cell)
    if form == "rfc3339" and _FINER.search(text):
        raise CellError(f"{_shown(cell)} is finer than a microsecond")
    try:
        if form == "rfc3339":
            return datetime.fromisoformat(text)
        return datetime.strptime(text, form)  # noqa: DTZ007 - the zone is added by the caller
    except ValueError:
        raise CellError(f"{_shown(cell)} is not a time written as {form}") from None


def _date(column: FileColumn) -> Parser:
    form = column.format

    def parse(cell: Cell) -> CellValue:
        if isinstance(cell, datetime):
            if cell.time() != time():
                raise CellError(f"{_shown(cell)} is an instant, not a date")
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


_PARSERS: Mapping[CellType, Callable[[FileColumn], Parser]] = {
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
    return quoted(text if len(text) <= 40 else f"{text[:39]}…")  # noqa: PLR2004 - fits a line
