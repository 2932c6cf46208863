"""Opaque cursors: where a listing goes on, bound to the listing it came from.

A cursor is a position and a short keyed digest. The digest is over the tenant and the question too,
so that a cursor of one listing, filter or tenant is refused by every other one.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Final

from serving.api.problems import Problem, ProblemError

_SIGNATURE_BYTES: Final = 9
_MAX_LENGTH: Final = 64


class Cursors:
    """Writes and reads cursors. The key must be the same on every replica and across restarts."""

    def __init__(self, key: bytes) -> None:
        self._key = blake2b(key, digest_size=32, person=b"agentflowcursor").digest()

    def write(self, position: int, *question: str) -> str:
        """Return the cursor of *position* in the listing that *question* names."""
        text = str(position).encode()
        return urlsafe_b64encode(self._sign(text, question) + text).rstrip(b"=").decode()

    def read(self, cursor: str | None, *question: str) -> int | None:
        """Return the position of a cursor of this listing; None without a cursor.

        Raises:
            ProblemError: This server did not give that cursor for this listing.
        """
        if cursor is None:
            return None
        try:
            signed = urlsafe_b64decode(cursor[:_MAX_LENGTH] + "=" * (-len(cursor) % 4))
            signature, text = signed[:_SIGNATURE_BYTES], signed[_SIGNATURE_BYTES:]
            position = int(text)
        except ValueError:
            raise _refused() from None
        if not hmac.compare_digest(signature, self._sign(text, question)):
            raise _refused()
        return position

    def _sign(self, text: bytes, question: tuple[str, ...]) -> bytes:
        digest = blake2b(text, digest_size=_SIGNATURE_BYTES, key=self._key)
        for part in question:
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(b"%d:%b" % (len(encoded), encoded))
        return digest.digest()


def _refused() -> ProblemError:
    return ProblemError(
        Problem(
            "cursor_invalid",
            "the cursor does not belong to this listing",
            "Pass next_cursor back unchanged, with the same filters, or start without a cursor.",
        )
    )
