"""Opaque cursors: where a listing goes on, bound to the listing it came from.

A cursor is a sealed place. It is sealed about the tenant and the question, so that a cursor of
one listing, filter or tenant is refused by every other one.
"""

from __future__ import annotations

from typing import Final

from agentflow.errors import CursorError
from processing.write.sealing import Seal, SealError

_MAX_LENGTH: Final = 200
_MAX_PLACE: Final = 8_192


class Cursors:
    """Writes and reads cursors. The seal must be the same on every replica and across restarts."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def write(self, position: int, *question: str) -> str:
        """Return the cursor of *position* in the listing that *question* names."""
        return self.write_place(b"%d" % position, *question)

    def read(self, cursor: str | None, *question: str) -> int | None:
        """Return the position of a cursor of this listing; None without a cursor.

        Raises:
            CursorError: This server did not give that cursor for this listing.
        """
        if cursor is None:
            return None
        try:
            return int(self.read_place(cursor[:_MAX_LENGTH], *question))
        except ValueError:
            raise refused() from None

    def write_place(self, place: bytes, *question: str) -> str:
        """Return the cursor of a *place*, which ends in no blank, in a listing without numbers."""
        return self._seal.write(place, about=_about(question))

    def read_place(self, cursor: str, *question: str) -> bytes:
        """Return the place that `write_place` was told.

        Raises:
            CursorError: This server did not give that cursor for this listing.
        """
        try:
            return self._seal.read(cursor[:_MAX_PLACE], about=_about(question))
        except SealError:
            raise refused() from None


def refused() -> CursorError:
    """Return the error of a cursor that belongs elsewhere, or nowhere."""
    return CursorError(
        "the cursor does not belong to this listing",
        hint="Pass next_cursor back unchanged, with the same filters, or start without a cursor.",
    )


def _about(question: tuple[str, ...]) -> bytes:
    encoded = (part.encode("utf-8", "surrogatepass") for part in question)
    return b"cursor" + b"".join(b"%d:%b" % (len(part), part) for part in encoded)
