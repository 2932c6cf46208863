"""Members that a JSON object has twice: readers disagree about which one counts, so none does."""

from __future__ import annotations

import json
from typing import Any, Final

from quality.fields import escaped

_DATA: Final = "data"


class _Object(dict[str, Any]):
    """An object, and the first name that it has more than once."""

    repeated: str | None = None


def repeated_member(value: bytes) -> str | None:
    r"""Return the JSON pointer of a member that a document has twice; None when there is none.

    *value* is JSON. Of objects deeper than `data` only the place is told where they are.

    >>> repeated_member(b'{"id": "1", "data": {"a": 1, "\\u0061": 2}}')
    '/data/a'
    >>> repeated_member(b'{"id": "1", "data": {"id": 1}}') is None
    True
    """
    deep: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> _Object:
        found = _Object(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            found.repeated = next(name for name in names if names.count(name) > 1)
            deep.append(found.repeated)
        return found

    try:
        document = json.loads(value, object_pairs_hook=members, parse_float=str, parse_int=str)
    except RecursionError:
        return None  # refused for its depth
    if not deep or not isinstance(document, _Object):
        return None
    if document.repeated is not None:
        return "/" + escaped(document.repeated)
    data = document.get(_DATA)
    if isinstance(data, _Object) and data.repeated is not None:
        return f"/{_DATA}/{escaped(data.repeated)}"
    return f"/{_DATA}"


def repeated_anywhere(value: bytes | str) -> str | None:
    r"""Return the JSON pointer of a member that a document has twice, at any depth.

    None when there is none, or when the *value* is not JSON.

    >>> repeated_anywhere(b'{"set": {"/a": 1, "/a": 2}}')
    '/set/~1a'
    >>> repeated_anywhere(b'[{"a": 1}, {"a": {"b": 1, "\\u0062": 2}}]')
    '/1/a/b'
    """
    found = False

    def members(pairs: list[tuple[str, Any]]) -> _Object:
        nonlocal found
        item = _Object(pairs)
        if len(item) != len(pairs):
            names = [name for name, _ in pairs]
            item.repeated = next(name for name in names if names.count(name) > 1)
            found = True
        return item

    try:
        document = json.loads(value, object_pairs_hook=members, parse_float=str, parse_int=str)
    except (RecursionError, ValueError):
        return None  # refused for what it is
    return _repeated_in(document) if found else None


def _repeated_in(document: object) -> str | None:
    """Return where the outermost repeated member of a document is."""
    waiting: list[tuple[str, object]] = [("", document)]
    for place, item in waiting:
        if isinstance(item, _Object):
            if item.repeated is not None:
                return f"{place}/{escaped(item.repeated)}"
            waiting += [(f"{place}/{escaped(name)}", each) for name, each in item.items()]
        elif isinstance(item, list):
            waiting += [(f"{place}/{number}", each) for number, each in enumerate(item)]
    return None


def all_members(value: str) -> list[tuple[str, str]]:
    """Return the members of a JSON object with their values as they are written, twice if so sent.

    *value* is a JSON object.

    >>> all_members('{"a": 1.50, "b": {"c": []}, "a": "x"}')
    [('a', '1.50'), ('b', '{"c": []}'), ('a', '"x"')]
    """
    found = []
    place = _next(value, 0) + 1
    while value[place := _next(value, place)] != "}":
        if value[place] == ",":
            place += 1
            continue
        name, place = _scan(value, place)
        start = _next(value, _next(value, place) + 1)
        _, place = _scan(value, start)
        found.append((name, value[start:place]))
    return found


_scan: Final = json.JSONDecoder(parse_float=str, parse_int=str).raw_decode
_SPACE: Final = " \t\r\n"


def _next(value: str, place: int) -> int:
    """Return where the next character other than a space is."""
    while value[place] in _SPACE:
        place += 1
    return place


def surplus(value: bytes, quotes: int) -> bool:
    """Tell whether a document has a member twice, given the *quotes* that its members account for.

    Called where there are more quotes than that: they may be escaped within texts, or belong to
    members that are null. Looking costs ten times what counting does.
    """
    if b"\\\\" not in value and value.count(b'"') - value.count(b'\\"') == quotes:
        return False
    return repeated_member(value) is not None
