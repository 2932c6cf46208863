r"""Halves of surrogate pairs: `\ud800` alone fits the grammar of JSON, and is not a character."""

from __future__ import annotations

import json
from typing import NamedTuple

from quality.fields import escaped


class LoneSurrogate(NamedTuple):
    r"""Where the first one is: a JSON pointer, and the escape as it is written, `\ud800`."""

    pointer: str
    escape: str


def lone_surrogate(value: bytes) -> LoneSurrogate | None:
    r"""Return the first half of a pair that a JSON document has without the other, or None.

    *value* is UTF-8; what is wrong with it in another way has none.

    >>> lone_surrogate(b'{"data": {"name": "Ada \\ud83d"}}')
    LoneSurrogate(pointer='/data/name', escape='\\ud83d')
    >>> lone_surrogate(b'{"data": {"name": "\\ud83d\\ude00"}}') is None
    True
    """
    try:
        document = json.loads(value, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return None
    waiting: list[tuple[str, object]] = [("", document)]
    while waiting:
        pointer, item = waiting.pop()
        if isinstance(item, str) and (escape := _half(item)):
            return LoneSurrogate(pointer, escape)
        if isinstance(item, dict):
            found = next(filter(None, map(_half, item)), None)
            if found is not None:
                return LoneSurrogate(pointer, found)
            members = [(f"{pointer}/{escaped(name)}", value) for name, value in item.items()]
            waiting += reversed(members)
        elif isinstance(item, list):
            waiting += reversed([(f"{pointer}/{index}", part) for index, part in enumerate(item)])
    return None


def _half(text: str) -> str | None:
    code = next((ord(each) for each in text if 0xD800 <= ord(each) <= 0xDFFF), None)  # noqa: PLR2004 - the range of Unicode
    return None if code is None else f"\\u{code:04x}"
