"""Groups of an answer, a page at a time: in the order of their values, from a cursor on.

A cursor holds the values of the last group that was seen, so that groups which come and go between
two pages neither hide others nor show them twice.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection
from heapq import nsmallest
from typing import Final

import msgspec

from agentflow.errors import ParameterError
from agentflow.metrics import key_place

PAGE_GROUPS: Final = 1_000
MAX_GROUPS: Final = 10_000
_MAX_CURSOR: Final = 8_192

Key = tuple[object, ...]


class _Place(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    by: list[str]
    values: list[str | int | bool | None]


def page(keys: Collection[Key], *, after: Key | None, limit: int) -> tuple[list[Key], int]:
    """Return the keys of a page in order, and how many come after it.

    >>> page([("b",), ("a",), (None,), ("c",)], after=("a",), limit=2)
    ([('b',), ('c',)], 1)
    """
    if after is not None:
        place = key_place(after)
        keys = [key for key in keys if key_place(key) > place]
    return nsmallest(limit, keys, key=key_place), max(len(keys) - limit, 0)


def write_cursor(by: tuple[str, ...], last: Key) -> str:
    """Return the cursor of the page after the group *last*."""
    content = msgspec.json.encode([by, last])
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def read_cursor(cursor: str, by: tuple[str, ...]) -> Key:
    """Return the group behind which a page begins.

    Raises:
        ParameterError: It is not a cursor of groups by these dimensions.
    """
    try:
        content = urlsafe_b64decode(cursor[:_MAX_CURSOR] + "=" * (-len(cursor) % 4))
        place = msgspec.json.decode(content, type=_Place)
    except ValueError:
        place = None
    if place is None or tuple(place.by) != by or len(place.values) != len(by):
        raise ParameterError(
            "the cursor does not belong to groups by these dimensions",
            hint="Pass next_cursor back unchanged, with the same by, or start without a cursor.",
        )
    return tuple(place.values)
