"""The identity of an event that came without an id: the hash of everything it says."""

from __future__ import annotations

import json

from agentflow.events import content_id

_LONGEST_EXACT = 400  # digits; far inside what `int` reads from text


def document_id(value: bytes) -> str:
    """Return the content id of a JSON document.

    Numbers a float cannot hold stay text: two amounts that differ in the 18th digit are two events.

    >>> document_id(b'{"a": 1.5}') == content_id({"a": 1.5})
    True
    >>> document_id(b'{"a": 0.1}') == document_id(b'{"a": 0.10000000000000000001}')
    False
    """
    return content_id(json.loads(value, parse_float=_fraction, parse_int=_whole))


def _whole(text: str) -> int | str:
    return int(text) if len(text) <= _LONGEST_EXACT else f"number:{text}"


def _fraction(text: str) -> float | str:
    value = float(text)
    return value if _significant(repr(value)) == _significant(text) else f"number:{text}"


def _significant(text: str) -> tuple[str, str, int]:
    """Return sign, digits and exponent without the zeros that do not matter.

    >>> _significant("1.50e1") == _significant("15")
    True
    """
    mantissa, _, exponent = text.lower().partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    scale = int(exponent[:20] or "0") - len(fraction)
    stripped = digits.rstrip("0")
    return sign, stripped, scale + len(digits) - len(stripped) if stripped else 0
