"""Text that matches a simple regular expression: classes, literals and counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

_PART = re.compile(
    r"(?:\[(?P<set>[^\]^][^\]]*)\]|\\(?P<escape>[dw.\-/])|(?P<literal>[^\\\[\](){}.*+?|^$]))"
    r"(?:\{(?P<low>[0-9]+)(?P<comma>,)?(?P<high>[0-9]*)\}|(?P<sign>[*+?]))?"
)
_ESCAPES = {"d": "0123456789", "w": "abcdefghijklmnopqrstuvwxyz0123456789_"}
_MORE = 8


def sampler(pattern: str) -> Callable[[Random], str] | None:
    """Return a function that draws matching text; None when the pattern is not a simple one.

    >>> sampler("^[A-Z]{3}[0-9]$")(Random(1))
    'WTG4'
    >>> sampler("(a|b)") is None
    True
    """
    text = pattern.removeprefix("^").removesuffix("$")
    parts: list[tuple[str, int, int]] = []
    position = 0
    while position < len(text):
        found = _PART.match(text, position)
        if found is None:
            return None
        parts.append((_characters(found), *_counts(found)))
        position = found.end()

    def draw(random: Random) -> str:
        return "".join(
            characters[int(random.random() * len(characters))]
            for characters, low, high in parts
            for _ in range(low + int(random.random() * (high - low + 1)))
        )

    return draw if re.search(pattern, draw(Random(0))) else None  # noqa: S311 - not for secrets


def _characters(part: re.Match[str]) -> str:
    if part["set"]:
        spans = re.sub(
            r"(.)-(.)",
            lambda span: "".join(map(chr, range(ord(span[1]), ord(span[2]) + 1))),
            part["set"],
        )
        return spans.replace("\\", "")
    if part["escape"]:
        return _ESCAPES.get(part["escape"], part["escape"])
    return part["literal"]


def _counts(part: re.Match[str]) -> tuple[int, int]:
    if part["sign"]:
        return {"*": (0, _MORE), "+": (1, _MORE), "?": (0, 1)}[part["sign"]]
    if part["low"] is None:
        return 1, 1
    low = int(part["low"])
    if not part["comma"]:
        return low, low
    return low, int(part["high"] or low + _MORE)
