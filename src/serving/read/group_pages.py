"""Groups of an answer, a page at a time: in the order of their values, from a cursor on.

A cursor holds the values of the last group that was seen, so that groups which come and go between
two pages neither hide others nor show them twice.
"""

from __future__ import annotations

from collections.abc import Collection
from heapq import nsmallest
from typing import Final

import msgspec

from agentflow.metrics import key_place
from serving.read.cursors import Cursors

PAGE_GROUPS: Final = 1_000
MAX_GROUPS: Final = 10_000

Key = tuple[object, ...]


def page(keys: Collection[Key], *, after: Key | None, limit: int) -> tuple[list[Key], int]:
    """Return the keys of a page in order, and how many come after it.

    >>> page([("b",), ("a",), (None,), ("c",)], after=("a",), limit=2)
    ([('b',), ('c',)], 1)
    """
    if after is not None:
        place = key_place(after)
        keys = [key for key in keys if key_place(key) > place]
    return nsmallest(limit, keys, key=key_place), max(len(keys) - limit, 0)


class GroupCursors:
    """Writes and reads the cursors of one tenant's groups."""

    def __init__(self, cursors: Cursors, tenant: str) -> None:
        self._cursors = cursors
        self._tenant = tenant

    def write(self, question: tuple[str, ...], last: Key) -> str:
        """Return the cursor of the page after the group *last* in the answer to *question*."""
        content = msgspec.json.encode(last)
        return self._cursors.write_place(content, "groups", self._tenant, *question)

    def read(self, cursor: str, question: tuple[str, ...]) -> Key:
        """Return the group behind which a page begins.

        Raises:
            CursorError: It is not a cursor of this tenant's groups in the answer to *question*.
        """
        content = self._cursors.read_place(cursor, "groups", self._tenant, *question)
        return msgspec.json.decode(content, type=Key)
