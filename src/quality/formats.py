"""How instants, dates and decimals are written; nothing else is read as one.

All of it is stricter than the libraries: those take `1_0`, Arabic digits or ISO week dates, round
nanoseconds into the next second, and disagree with each other about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Context, Decimal
from functools import lru_cache
from typing import Final

from agentflow.clock import from_datetime

INTEGER_DIGITS: Final = 18
EXACT: Final = Context(prec=2000, traps=[])
"""Never rounds: products of all the digits a few fields may have fit many times over."""

_MIN_US: Final = -62_135_596_800_000_000  # 0001-01-01T00:00:00Z
_END_US: Final = 253_402_300_800_000_000  # 10000-01-01T00:00:00Z

_WHOLE = rf"(?:0|[1-9][0-9]{{0,{INTEGER_DIGITS - 1}}})"
_MINUTE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}")
_TAIL = re.compile(r"(?:\.([0-9]{1,9}))?(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SECONDS = {f":{second:02d}": second * 1_000_000 for second in range(60)}
_TAILS = {"Z": 0} | {f".{thousandth:03d}Z": thousandth * 1000 for thousandth in range(1000)}
_THOUSANDTHS = {f".{thousandth:03d}": thousandth * 1000 for thousandth in range(1000)}
_MICROSECOND_LENGTH: Final = len("2026-11-21T09:20:00.123456Z")
_MILLIONTHS = {f"{millionth:03d}Z": millionth for millionth in range(1000)}


def instant_us(text: str) -> int | None:
    """Return microseconds since the epoch of an RFC 3339 instant with zone, else None.

    Digits beyond the microsecond are cut off, never rounded: rounding could move an event into the
    next window. Leap seconds (`:60`) and instants outside the years 1 to 9999 are refused.

    >>> instant_us("1970-01-01T00:00:01.0000019Z"), instant_us("1970-01-01T00:00:00")
    (1000001, None)
    """
    # Looking digits up is both stricter and faster than converting them.
    try:
        second_us = _second_us(text[:19])
    except (KeyError, ValueError):
        return None
    try:
        if len(text) == _MICROSECOND_LENGTH:
            return second_us + _THOUSANDTHS[text[19:23]] + _MILLIONTHS[text[23:]]
        return second_us + _TAILS[text[19:]]
    except KeyError:
        return _with_tail(second_us, text[19:])


@lru_cache(maxsize=4096)
def _second_us(text: str) -> int:
    """Events come in order, more or less: most share their second with one seen before."""
    return _minute_us(text[:16]) + _SECONDS[text[16:]]


@lru_cache(maxsize=4096)
def _minute_us(text: str) -> int:
    """And their minute, those that come late."""
    if _MINUTE.fullmatch(text) is None:
        raise ValueError(text)
    return from_datetime(datetime.fromisoformat(f"{text.upper()}:00+00:00"))


def _with_tail(second_us: int, text: str) -> int | None:
    """Add a fraction of any length and an offset."""
    match = _TAIL.fullmatch(text)
    if match is None:
        return None
    fraction, sign, hours, minutes = match.groups()
    instant = second_us + (int(fraction.ljust(6, "0")[:6]) if fraction else 0)
    if sign is not None:
        offset_us = (int(hours) * 60 + int(minutes)) * 60_000_000
        instant += -offset_us if sign == "+" else offset_us
    return instant if _MIN_US <= instant < _END_US else None


@lru_cache(maxsize=4096)
def iso_date(text: str) -> bool:
    """Tell whether *text* is a day, `YYYY-MM-DD`.

    >>> iso_date("2028-02-29"), iso_date("2026-02-29"), iso_date("20260228")
    (True, False, False)
    """
    if _DATE.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def decimal_form(scale: int) -> Callable[[str], re.Match[str] | None]:
    """Return what matches a decimal of that scale: JSON's number syntax without exponents.

    >>> (
    ...     bool(decimal_form(2)("-12.5")),
    ...     bool(decimal_form(2)("12.500")),
    ...     bool(decimal_form(2)("1e1")),
    ... )
    (True, False, False)
    """
    fraction = rf"(?:\.[0-9]{{1,{scale}}})?" if scale else ""
    return re.compile(f"-?{_WHOLE}{fraction}").fullmatch


def canonical_form(scale: int) -> Callable[[str], re.Match[str] | None]:
    """Return what matches decimals that are written the canonical way already; most are."""
    fraction = rf"\.[0-9]{{{scale}}}" if scale else ""
    return re.compile(f"{_WHOLE}{fraction}").fullmatch


def decimal_reader(scale: int) -> Callable[[str], Decimal | None]:
    """Return what reads a decimal of that scale, or None where `decimal_form` does not match.

    >>> decimal_reader(2)("5"), decimal_reader(2)("5,00")
    (Decimal('5.00'), None)
    """
    form = decimal_form(scale)
    return lambda text: None if form(text) is None else canonical_decimal(text, scale)


def canonical_decimal(value: str | int | Decimal, scale: int) -> Decimal:
    """Return the one decimal that stands for *value* at *scale*: `5`, `5.0`, `5.00` are the same.

    >>> canonical_decimal("5", 2), canonical_decimal("-0.0", 2)
    (Decimal('5.00'), Decimal('0.00'))
    """
    result = Decimal(value).quantize(Decimal(1).scaleb(-scale), context=EXACT)
    return result or result.copy_abs()


def searcher(pattern: str) -> Callable[[str], re.Match[str] | None]:
    r"""Return what finds a contract's pattern in text: the one engine of gate, lint and Flink.

    Classes are those of ASCII, as in JSON Schema.

    >>> bool(searcher(r"^\d$")("5")), bool(searcher(r"^\d$")("\u0665")), bool(searcher("a$")("a\n"))
    (True, False, False)
    """
    return re.compile(search_form(pattern), re.ASCII).search


def search_form(pattern: str) -> str:
    r"""Return *pattern* with `$` meaning the end, as in JSON Schema; Python lets a newline follow.

    >>> search_form(r"^[$]\$$")
    '^[$]\\$\\Z'
    """
    parts: list[str] = []
    inside_class = False
    for part in re.findall(r"\\.|\[\^?\]?|.", pattern, flags=re.DOTALL):
        if part.startswith("["):
            inside_class = True
        elif part == "]":
            inside_class = False
        parts.append(r"\Z" if part == "$" and not inside_class else part)
    return "".join(parts)
