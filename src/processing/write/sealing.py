"""Seals what callers carry but may not read or make: tokens, cursors, ids of streams.

Positions count the events of all tenants: read in the clear, they would tell one tenant how much
the others send. A sealed text is encrypted under a synthetic initialization vector, a digest of
what it says (the construction of RFC 5297, on keyed BLAKE2b): no nonce can be used twice, and what
was changed or made elsewhere is noticed.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

_TAG_BYTES: Final = 12
_SALT_BYTES: Final = 8
_BLOCK_BYTES: Final = 64
_PADDED_TO: Final = 16
_UNSALTED: Final = bytes(_SALT_BYTES)


class SealError(ValueError):
    """The text was not sealed with this secret, or not about this."""


class Seal:
    """Seals with a secret that is the same on every replica and after every restart.

    Args:
        secret: With it, sealed texts can be read and made.
        salt: Makes eight random bytes.
    """

    def __init__(
        self, secret: bytes, *, salt: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._tag_key = blake2b(secret, digest_size=32, person=b"agentflow-tag").digest()
        self._text_key = blake2b(secret, digest_size=32, person=b"agentflow-text").digest()
        self._salt = salt

    def write(self, content: bytes, *, about: bytes = b"", salted: bool = False) -> str:
        """Return *content*, which ends in no blank, as sealed, URL-safe text.

        Args:
            content: What is said; its length shows in steps of 16 bytes.
            about: What it belongs to; it must be read with the same.
            salted: Whether equal contents get different texts.
        """
        body = (self._salt(_SALT_BYTES) if salted else _UNSALTED) + content
        body += b" " * (-len(body) % _PADDED_TO)
        tag = self._tag(body, about)
        return urlsafe_b64encode(tag + self._masked(body, tag)).rstrip(b"=").decode()

    def read(self, text: str, *, about: bytes = b"") -> bytes:
        """Return what *text* says.

        Raises:
            SealError: It was not sealed with this secret, or not about this.
        """
        try:
            sealed = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise SealError from None
        tag, body = sealed[:_TAG_BYTES], self._masked(sealed[_TAG_BYTES:], sealed[:_TAG_BYTES])
        if not hmac.compare_digest(tag, self._tag(body, about)):
            raise SealError
        return body[_SALT_BYTES:].rstrip(b" ")

    def _tag(self, body: bytes, about: bytes) -> bytes:
        digest = blake2b(body, digest_size=_TAG_BYTES, key=self._tag_key)
        digest.update(b"\0%d\0" % len(body))
        digest.update(about)
        return digest.digest()

    def _masked(self, body: bytes, tag: bytes) -> bytes:
        blocks = range(-(-len(body) // _BLOCK_BYTES))
        mask = b"".join(
            blake2b(b"%b%d" % (tag, number), key=self._text_key).digest() for number in blocks
        )
        size = len(body)
        masked = int.from_bytes(body, "big") ^ int.from_bytes(mask[:size], "big")
        return masked.to_bytes(size, "big")
