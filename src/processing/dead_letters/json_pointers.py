"""Edit a JSON document by JSON pointers (RFC 6901)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from agentflow.errors import ParameterError
from agentflow.wording import quoted


def edited(document: bytes, changes: Mapping[str, object], removals: Sequence[str]) -> bytes:
    """Return *document* with values set and members removed.

    >>> edited(b'{"a":{"b":1}}', {"/a/c": 2}, ["/a/b"])
    b'{"a":{"c":2}}'

    Raises:
        ParameterError: The document, or what a pointer leads through, is not a JSON object.
    """
    try:
        root = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        root = None
    if not isinstance(root, dict):
        raise ParameterError(
            "this document is not a JSON object, so its parts cannot be edited",
            hint="Fix it with a whole event.",
        )
    for pointer, value in changes.items():
        parent, name = _parent(root, pointer)
        parent[name] = value
    for pointer in removals:
        parent, name = _parent(root, pointer)
        parent.pop(name, None)
    return msgspec.json.encode(root)


def _parent(root: dict[str, object], pointer: str) -> tuple[dict[str, object], str]:
    if not pointer.startswith("/"):
        raise ParameterError(
            f"{quoted(pointer)} is not a JSON pointer", hint="Write it like /data/amount."
        )
    names = [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]
    place = root
    for name in names[:-1]:
        inner = place.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ParameterError(f"{quoted(pointer)} leads through a value that is not an object")
        place = inner
    return place, names[-1]
