"""Stored keys, as those see them who manage them and those who check requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from control_store.keys.key_text import Mode


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key may do, and with what.

    Attributes:
        scopes: Words of scopes.
        metrics: The names of the only metrics that exist for it; None means all.
        entities: The same of entities.
        events: The same of events.
        statuses: The only statuses of contracts that exist for it; None means all.
    """

    scopes: tuple[str, ...]
    metrics: tuple[str, ...] | None = None
    entities: tuple[str, ...] | None = None
    events: tuple[str, ...] | None = None
    statuses: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What is kept of a key, but for what proves it.

    Attributes:
        mode: `live` or `test`, as its text says.
        owner: Who answers for it: a team, an address.
        created_by: Who made it.
        expires_us: When it ends by itself; None means never.
        revoked_us: When it was revoked; None while it is not.
        revoked_by: Who revoked it.
        last_used_us: When it was last used, up to a minute ago.
        uses: How many requests came with it, up to a minute ago.
    """

    id: str
    tenant: str
    name: str
    owner: str
    mode: Mode
    grant: Grant
    created_us: int
    created_by: str
    expires_us: int | None = None
    revoked_us: int | None = None
    revoked_by: str | None = None
    last_used_us: int | None = None
    uses: int = 0


@dataclass(frozen=True, slots=True)
class KeyMatch:
    """A key that was found by its digest.

    Attributes:
        ends_us: When this text of the key ends, because it was rotated; None means with the key.
    """

    key: StoredKey
    digest: bytes
    ends_us: int | None = None


@dataclass(frozen=True, slots=True)
class KeyUse:
    """How often a key was used since it was last noted, and when last."""

    count: int
    last_us: int


class KeyStore(Protocol):
    """Keys, as administrators manage them. No key is ever deleted: it is revoked."""

    def add(self, key: StoredKey, digest: bytes) -> None:
        """Store a new key that is found by *digest*."""
        ...

    def rotate(self, key_id: str, digest: bytes, *, now_us: int, ends_us: int) -> StoredKey:
        """Let a key be found by *digest* too; what it was found by before ends at *ends_us*.

        Raises:
            NotFoundError: There is no such key.
            KeyEndedError: It was revoked, or has expired.
        """
        ...

    def revoke(self, key_id: str, *, now_us: int, who: str) -> StoredKey:
        """End a key at once; one that was revoked before stays as it is.

        Raises:
            NotFoundError: There is no such key.
        """
        ...

    def key(self, key_id: str) -> StoredKey | None:
        """Return one key."""
        ...

    def keys(
        self, tenant: str | None, *, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, StoredKey]]:
        """Return (number from 1, key) above *after*, oldest first; of one tenant, or of all."""
        ...


class KeyDirectory(Protocol):
    """Keys, as requests are checked against them."""

    def match(self, digest: bytes) -> KeyMatch | None:
        """Return the key that is found by *digest*, whether it is still in force or not."""
        ...

    def generation(self) -> int:
        """Return a number that grows whenever a key changes; 0 while there never was one."""
        ...

    def changes(self, *, after: int, limit: int = 1_000) -> tuple[int, Sequence[KeyMatch]]:
        """Return what changed behind a generation, oldest first, and the generation that it is.

        With *limit* keys there may be more: ask again.
        """
        ...

    def note_uses(self, uses: Mapping[str, KeyUse]) -> None:
        """Add how often keys were used, by id."""
        ...
