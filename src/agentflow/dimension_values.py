"""Values of dimensions as text: one spelling each, the same in every query string and command.

| written | means |
|---|---|
| nothing | the events without a value |
| a text in double quotes | that JSON text: `""` is the empty text |
| anything else | itself: a text, `5`, `true` |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable
from difflib import SequenceMatcher, get_close_matches
from itertools import islice
from typing import Final

from agentflow.spelling import read_boolean, read_integer

MOST_COMPARED: Final = 1_000
NEAREST: Final = 3
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def spelled(value: object) -> str:
    r"""Return the one text that stands for a value of a dimension.

    A text with a character that does not print is in double quotes too, so that what a command
    shows can be typed, and no event can drive a terminal.

    >>> spelled(None), spelled(""), spelled("DE"), spelled(5), spelled(True)
    ('', '""', 'DE', '5', 'true')
    >>> print(spelled("Köln\u2028\u001b[31m"))
    "Köln\u2028\u001b[31m"
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if text and text.isprintable() and not _quoted(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in quoted)


def read_value(kind: str, text: str) -> object:
    """Return the value that *text* stands for, in a dimension of type *kind*.

    >>> read_value("string", ""), read_value("string", '""'), read_value("integer", "5")
    (None, '', 5)

    Raises:
        ValueError: It is not the spelling of any value of that type.
    """
    if text == "":
        return None
    if kind == "integer":
        return read_integer(text)
    if kind == "boolean":
        return read_boolean(text)
    value = json.loads(text, strict=False) if _quoted(text) else text
    if not isinstance(value, str):  # two quotations in a row
        raise ValueError(text)  # noqa: TRY004 - the text is wrong, not its type
    if _SURROGATE.search(value):
        raise ValueError(text)  # half a character, which no event can hold
    return value


def nearest(value: object, known: Iterable[object]) -> list[object]:
    """Return the few of *known* that *value* may be a slip of, the nearest first.

    Of very many texts only those that begin alike are compared, and at most `MOST_COMPARED`.

    >>> nearest("Gold", ["free", "gold_plus"]), nearest(6, [1, 5, 40])
    (['gold_plus'], [5, 1, 40])
    >>> nearest("x ", ["X", " x", "x"]), nearest("de", ["dE", "DE"])
    (['x', 'X', ' x'], ['dE', 'DE'])
    """
    if isinstance(value, int):
        numbers = [each for each in known if isinstance(each, int)]
        return list(sorted(numbers, key=lambda each: (abs(each - value), each))[:NEAREST])
    written = str(value)
    wanted = written.casefold()
    folded: dict[str, list[str]] = {}
    for each in known:
        if isinstance(each, str):
            folded.setdefault(each.casefold(), []).append(each)
    near = (
        [wanted]
        if wanted in folded
        else get_close_matches(wanted, _alike(wanted, folded), n=NEAREST, cutoff=0.5)
    )
    found = [each for text in near for each in sorted(folded[text], key=_unlike(written))]
    return list(found[:NEAREST])


def _unlike(written: str) -> Callable[[str], tuple[float, str]]:
    """Return what sorts texts by how unlike *written* they are."""
    return lambda text: (-SequenceMatcher(None, written, text).ratio(), text)


def _alike(wanted: str, known: Collection[str]) -> Iterable[str]:
    if len(known) <= MOST_COMPARED:
        return known
    alike = (each for each in known if each[:1] == wanted[:1])
    return list(islice(alike, MOST_COMPARED))


def _quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] == '"'
