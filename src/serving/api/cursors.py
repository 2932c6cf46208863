"""Opaque cursors: where a listing goes on, bound to the listing it came from.

A cursor is a sealed position. It is sealed about the tenant and the question, so that a cursor of
one listing, filter or tenant is refused by every other one.
"""

from __future__ import annotations

from typing import Final

from processing.sealing import Seal
from serving.api.problems import Problem, ProblemError

_MAX_LENGTH: Final = 200


class Cursors:
    """Writes and reads cursors. The seal must be the same on every replica and across restarts."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def write(self, position: int, *question: str) -> str:
        """Return the cursor of *position* in the listing that *question* names."""
        return self._seal.write(b"%d" % position, about=_about(question))

    def read(self, cursor: str | None, *question: str) -> int | None:
        """Return the position of a cursor of this listing; None without a cursor.

        Raises:
            ProblemError: This server did not give that cursor for this listing.
        """
        if cursor is None:
            return None
        try:
            return int(self._seal.read(cursor[:_MAX_LENGTH], about=_about(question)))
        except ValueError:
            raise _refused() from None


def _about(question: tuple[str, ...]) -> bytes:
    encoded = (part.encode("utf-8", "surrogatepass") for part in question)
    return b"cursor" + b"".join(b"%d:%b" % (len(part), part) for part in encoded)


def _refused() -> ProblemError:
    return ProblemError(
        Problem(
            "cursor_invalid",
            "the cursor does not belong to this listing",
            "Pass next_cursor back unchanged, with the same filters, or start without a cursor.",
        )
    )
