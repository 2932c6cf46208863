"""Making keys: their text is returned once, and only its digest is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agentflow.clock import Clock
from control_store.keys.hashing import KeyHashing
from control_store.keys.key_text import Mode, new_key
from control_store.keys.port import Grant, KeyStore, StoredKey

_ID_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made.

    Attributes:
        text: The key itself, which is not known any more afterwards.
    """

    key: StoredKey
    text: str

    def __repr__(self) -> str:
        """Leave the text out: this is never logged by accident."""
        return f"NewKey({self.key.id})"


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key that is wanted."""

    tenant: str
    name: str
    owner: str
    grant: Grant
    mode: Mode = "live"
    expires_us: int | None = None


class KeyIssuer:
    """Makes keys in a store.

    Args:
        draw: Makes that many random bytes.
    """

    def __init__(
        self, store: KeyStore, hashing: KeyHashing, clock: Clock, draw: Callable[[int], bytes]
    ) -> None:
        self._store = store
        self._hashing = hashing
        self._clock = clock
        self._draw = draw

    def issue(self, wanted: KeyRequest, *, who: str) -> NewKey:
        """Make and store a key.

        Raises:
            UnavailableError: The store does not answer.
        """
        text = new_key(wanted.mode, self._draw)
        key = StoredKey(
            id=f"key_{self._draw(_ID_BYTES).hex()}",
            tenant=wanted.tenant,
            name=wanted.name,
            owner=wanted.owner,
            mode=wanted.mode,
            grant=wanted.grant,
            created_us=self._clock.now_us(),
            created_by=who,
            expires_us=wanted.expires_us,
        )
        self._store.add(key, self._hashing.digest(text.encode()))
        return NewKey(key, text)

    def rotate(self, key: StoredKey, *, overlap_us: int) -> NewKey:
        """Give a key another text; the one before works for as long as *overlap_us*.

        Raises:
            NotFoundError: There is no such key.
            KeyEndedError: It was revoked, or has expired.
            UnavailableError: The store does not answer.
        """
        text, now_us = new_key(key.mode, self._draw), self._clock.now_us()
        digest = self._hashing.digest(text.encode())
        rotated = self._store.rotate(key.id, digest, now_us=now_us, ends_us=now_us + overlap_us)
        return NewKey(rotated, text)
