"""Numbers as people write them, with a decimal comma and groups of thousands. Pure."""

from __future__ import annotations

import re
from functools import lru_cache


def plain_number(text: str, *, decimal: str, thousands: str | None) -> str | None:
    """Return a number with a point and without groups, or None when it is not written so.

    Groups have three digits each, all of them or none: "1.23" with groups by points is not one,
    it may be 1.23 or 123.

    >>> plain_number("-1.234.567,89", decimal=",", thousands=".")
    '-1234567.89'
    >>> plain_number("1.23", decimal=",", thousands=".") is None
    True
    """
    found = _pattern(decimal, thousands).match(text)
    if found is None:
        return None
    whole = found[1] if thousands is None else found[1].replace(thousands, "")
    fraction, exponent = found[2] or "", found[3] or ""
    return f"{whole}{'.' + fraction[1:] if fraction else ''}{exponent}"


@lru_cache(maxsize=32)
def _pattern(decimal: str, thousands: str | None) -> re.Pattern[str]:
    groups = "" if thousands is None else f"|[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+"
    fraction = f"{re.escape(decimal)}[0-9]*"
    return re.compile(rf"([+-]?(?:[0-9]+{groups}))({fraction})?([eE][+-]?[0-9]{{1,4}})?\Z")
