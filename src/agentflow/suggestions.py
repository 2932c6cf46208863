"""Which known name was probably meant, when a name is not known: the hint of every such error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from agentflow.wording import quoted

_LONGEST_NAME = 80
"""Longer ones are compared with nothing: the time that takes grows with the square."""


def did_you_mean(written: str, known: Iterable[str], *, what: str = "") -> str:
    """Return the question whether the nearest known name was meant; empty when none is near.

    Args:
        written: The name that is not known.
        known: The names that are.
        what: What they name, to be said before the name.

    >>> did_you_mean("amuont", ["amount", "currency"])
    'Did you mean "amount"?'
    >>> did_you_mean("windw", ["window"], what="the parameter")
    'Did you mean the parameter "window"?'
    >>> did_you_mean("weight", ["amount", "currency"])
    ''
    """
    if len(written) > _LONGEST_NAME:
        return ""
    return meant(get_close_matches(written, list(known), n=1), what=what)


def meant(close: Sequence[str], *, what: str = "") -> str:
    """Return the question whether the first of these was meant; empty when there is none.

    For what is compared in another way than names are: values of dimensions, for example.

    >>> meant(["gold_plus", "gold"])
    'Did you mean "gold_plus"?'
    """
    return f"Did you mean {what and what + ' '}{quoted(close[0])}?" if close else ""


def nearest_or_all(written: str, known: Iterable[str]) -> str:
    """Return the question whether the nearest known name was meant, or else all of them.

    >>> nearest_or_all("amuont", ["amount"]), nearest_or_all("weight", ["amount"])
    ('Did you mean "amount"?', 'Known here: amount.')
    """
    names = list(known)
    return did_you_mean(written, names) or f"Known here: {', '.join(names) or 'none'}."


def nearest_and(written: str, known: Iterable[str], rest: str) -> str:
    """Return the question whether the nearest known name was meant, and *rest* behind it.

    >>> nearest_and("windw", ["window", "by"], "Known: by, window.")
    'Did you mean "window"? Known: by, window.'
    """
    return f"{did_you_mean(written, known)} {rest}".strip()
