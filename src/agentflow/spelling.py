"""Integers and booleans as text: one spelling each, that of JSON, wherever a person writes them."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final

from agentflow.wording import quoted

INT64_MAX: Final = 2**63 - 1
BOOLEAN_HINT: Final = "Pass true or false."
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_BOOLEANS: Final = {"true": True, "false": False}
_MOST_GUESSED: Final = 40


def read_integer(text: str) -> int:
    """Return the whole number that *text* stands for.

    >>> read_integer("5"), read_integer("-7")
    (5, -7)

    Raises:
        ValueError: It is not the spelling of any (`+5`, ` 5`, `05`, `1_0`, `5.0`), or has more
            than 64 bits.
    """
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(text)
    value = int(text)
    if not -INT64_MAX - 1 <= value <= INT64_MAX:
        raise ValueError(text)
    return value


def read_boolean(text: str) -> bool:
    """Return the boolean that *text* stands for.

    Raises:
        ValueError: It is neither `true` nor `false`.
    """
    if text not in _BOOLEANS:
        raise ValueError(text)
    return _BOOLEANS[text]


def integer_hint(text: str, *, least: int = -INT64_MAX - 1, most: int = INT64_MAX) -> str:
    """Return what would have worked in the place of *text*.

    >>> integer_hint("1_0", least=1, most=500)
    'Did you mean "10"? Pass a whole number from 1 to 500, as JSON writes it.'
    """
    every = most - least == 2 * INT64_MAX + 1
    wanted = "of 64 bits" if every else f"from {least} to {most}"
    meant = meant_integer(text)
    known = meant is not None and least <= meant <= most
    guess = f"Did you mean {quoted(str(meant))}? " if known else ""
    return f"{guess}Pass a whole number {wanted}, as JSON writes it."


def meant_integer(text: str) -> int | None:
    """Return the whole number that another language would read in *text*.

    >>> meant_integer("\u0665"), meant_integer("5.0"), meant_integer("five")
    (5, 5, None)
    """
    if len(text) > _MOST_GUESSED:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    whole = value.is_finite() and abs(value.adjusted()) < _MOST_GUESSED and value == int(value)
    return int(value) if whole else None
