"""API keys: who is calling, for which tenant, and what they may do."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b, scrypt
from time import monotonic
from typing import Final

from agentflow.errors import ParameterError
from control_store.keys.port import StoredKey
from serving.access.callers import ANYONE, Caller
from serving.access.scopes import EVERYTHING, ROLES, Scope

_DIGEST_BYTES: Final = 16
_PARTS: Final = (2, 3)


@dataclass(frozen=True, slots=True, repr=False)
class ApiKey:
    """One configured key. It has no `repr`, so that it is never logged by accident."""

    key: str
    tenant: str
    scopes: frozenset[Scope] = EVERYTHING


MOST_HELD: Final = 16_384
"""Stored keys that are known in memory; one more and the first is looked up again when it comes."""


@dataclass(slots=True, eq=False)
class HeldKey:
    """A key in memory.

    Attributes:
        digest: Of the key, under a secret of this process.
        key: What the store says of it; None for a configured key.
        ends_us: When it ends, by itself or because it was rotated; None means never.
        uses: How often it was used since that was last noted.
        used_us: When it was last used.
    """

    digest: bytes
    caller: Caller
    key: StoredKey | None = None
    ends_us: int | None = None
    uses: int = 0
    used_us: int = 0


class Keys:
    """The keys that are known here, held only as keyed hashes; those in the store come when used.

    A caller cannot choose the digest that is looked up, because the hash is keyed with a secret of
    this process; the digests themselves are compared in constant time. One event loop.

    Args:
        keys: The configured ones.
        secret: What digests are keyed with.
        stored: Whether there may be keys in the store: then a caller without one is nobody.
        seconds: Measures time; it never goes back.

    Attributes:
        trusted_until: Until then what is known of stored keys may be relied on.
    """

    def __init__(
        self,
        keys: Iterable[ApiKey],
        *,
        secret: bytes,
        stored: bool = False,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._secret = secret
        self._seconds = seconds
        self.trusted_until = float("-inf")
        self._held: dict[bytes, HeldKey] = {}
        self._stored: dict[bytes, HeldKey] = {}
        self._latest_us = 0
        for number, key in enumerate(keys, 1):
            digest = self.digest(key.key.encode())
            caller = Caller(key.tenant, key.scopes, f"{key.tenant}/{number}")
            self._held[digest[:8]] = HeldKey(digest, caller)
        self.anonymous = None if self._held or stored else ANYONE

    def caller(self, key: bytes | None, now_us: int) -> Caller | None:
        """Return who holds *key*; None if it is not known here, or not in force."""
        if self.anonymous is not None:
            return self.anonymous
        if not key:
            return None
        digest = blake2b(key, digest_size=_DIGEST_BYTES, key=self._secret).digest()
        held = self._held.get(digest[:8])  # as `held` does: every read comes by here
        if held is None or not hmac.compare_digest(held.digest, digest):
            return None
        if (stored := held.key) is not None:
            if (
                stored.revoked_us is not None
                or (held.ends_us is not None and self.over(held, now_us))
                or self._seconds() >= self.trusted_until
            ):
                return None
            held.uses += 1
            held.used_us = now_us
        return held.caller

    @property
    def trusted(self) -> bool:
        """Whether what is known of stored keys may be relied on now."""
        return self._seconds() < self.trusted_until

    def over(self, held: HeldKey, now_us: int) -> bool:
        """Tell whether a stored key was revoked or has ended.

        What has ended stays so when the clock is set back.
        """
        if held.key is not None and held.key.revoked_us is not None:
            return True
        if held.ends_us is None:
            return False
        self._latest_us = max(self._latest_us, now_us)
        return held.ends_us <= self._latest_us

    def held(self, key: bytes) -> HeldKey | None:
        """Return what is known of a key, in force or not."""
        digest = self.digest(key)
        held = self._held.get(digest[:8])
        if held is None or not hmac.compare_digest(held.digest, digest):
            return None
        return held

    def hold(self, held: HeldKey, stored: bytes) -> HeldKey | None:
        """Know a stored key from now on; return one that is forgotten for it."""
        self._held[held.digest[:8]] = self._stored[stored] = held
        if len(self._stored) <= MOST_HELD:
            return None
        oldest = next(iter(self._stored))
        gone = self._stored.pop(oldest)
        if self._held.get(gone.digest[:8]) is gone:
            del self._held[gone.digest[:8]]
        return gone

    def stored(self, digest: bytes) -> HeldKey | None:
        """Return what is known of a stored key."""
        return self._stored.get(digest)

    def all_stored(self) -> Iterable[HeldKey]:
        """Return every stored key that is known here."""
        return self._stored.values()

    def close_to_anyone(self) -> None:
        """Answer nobody without a key any more: there are keys in the store."""
        self.anonymous = None

    def digest(self, key: bytes) -> bytes:
        """Return what a key is known by in this process."""
        return blake2b(key, digest_size=_DIGEST_BYTES, key=self._secret).digest()


def token_secret(given: str, keys: Iterable[ApiKey]) -> bytes:
    """Return what tokens and cursors are sealed with, equal wherever the same keys are configured.

    Without keys there is one tenant, and nothing to hide from another one.

    Args:
        given: A secret of the deployment, which outlives its keys; or nothing.
        keys: What the secret is made from otherwise, slowly: one of them may be guessed.
    """
    text = given or "\n".join(sorted(f"{key.key}:{key.tenant}" for key in keys))
    return scrypt(text.encode(), salt=b"agentflow tokens", n=2**14, r=8, p=1) if text else b""


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """Read `key:tenant[:scope[+scope]]`, separated by commas or as a JSON list or object.

    >>> [key.tenant for key in parse_keys("k1:acme,k2:umbrella:read")]
    ['acme', 'umbrella']
    >>> sorted(parse_keys('{"k1": "acme:operate+write"}')[0].scopes)
    [<Scope.EVENTS_WRITE: 'events:write'>, <Scope.OPERATE: 'operate'>]

    Raises:
        ParameterError: An entry is malformed; the message counts entries and never shows a key.
    """
    entries = _entries(text.strip())
    keys = tuple(_key(entry, number) for number, entry in enumerate(entries, 1))
    if len({key.key for key in keys}) != len(keys):
        raise ParameterError("an API key is given twice", hint="Give each key one entry.")
    return keys


def _entries(text: str) -> list[str]:
    if text[:1] not in {"[", "{"}:
        return [entry.strip() for entry in text.split(",") if entry.strip()]
    try:
        document: object = json.loads(text, object_pairs_hook=tuple)  # a key given twice stays so
    except ValueError as error:
        raise ParameterError("the API keys are not valid JSON", hint=_HINT) from error
    if isinstance(document, tuple):
        return [f"{key}:{rest}" for key, rest in document]
    return [str(entry) for entry in document] if isinstance(document, list) else [""]


def _key(entry: str, number: int) -> ApiKey:
    parts = entry.split(":")
    if len(parts) not in _PARTS or not all(parts):
        raise ParameterError(f"API key number {number} is not `key:tenant[:scope]`", hint=_HINT)
    try:
        scopes = frozenset[Scope]().union(
            *(ROLES[name] for name in "".join(parts[2:]).split("+") if name)
        )
    except KeyError as error:
        raise ParameterError(f"API key number {number} has an unknown scope", hint=_HINT) from error
    return ApiKey(parts[0], parts[1], scopes or EVERYTHING)


_HINT = "Write key:tenant or key:tenant:read+write; scopes are read, write, operate and admin."
