"""API keys: who is calling, for which tenant, and what they may do."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b, scrypt
from typing import Final

from agentflow.errors import ParameterError

DEFAULT_TENANT: Final = "default"
_DIGEST_BYTES: Final = 16
_PARTS: Final = (2, 3)


class Scope(StrEnum):
    """What a key may do: ask, send, see all that runs, or change what the platform is made of."""

    READ = "read"
    WRITE = "write"
    OPERATE = "operate"
    ADMIN = "admin"


EVERYTHING: Final = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from.

    Attributes:
        bucket: Name of the caller's rate limit; says nothing about the key.
    """

    tenant: str
    scopes: frozenset[Scope]
    bucket: str


@dataclass(frozen=True, slots=True, repr=False)
class ApiKey:
    """One configured key. It has no `repr`, so that it is never logged by accident."""

    key: str
    tenant: str
    scopes: frozenset[Scope] = EVERYTHING


class Keys:
    """The configured keys, held only as keyed hashes. Without any, every caller may do everything.

    A caller cannot choose the digest that is looked up, because the hash is keyed with a secret of
    this process; the digests themselves are compared in constant time.
    """

    def __init__(self, keys: Iterable[ApiKey], *, secret: bytes) -> None:
        self._secret = secret
        self._callers: dict[bytes, tuple[bytes, Caller]] = {}
        for number, key in enumerate(keys, 1):
            digest = self._digest(key.key.encode())
            caller = Caller(key.tenant, key.scopes, f"{key.tenant}/{number}")
            self._callers[digest[:8]] = (digest, caller)
        self.anonymous = None if self._callers else Caller(DEFAULT_TENANT, EVERYTHING, "anonymous")

    def caller(self, key: bytes | None) -> Caller | None:
        """Return who holds *key*; None for a key that is not known."""
        if self.anonymous is not None:
            return self.anonymous
        if not key:
            return None
        digest = self._digest(key)
        found = self._callers.get(digest[:8])
        if found is None or not hmac.compare_digest(found[0], digest):
            return None
        return found[1]

    def tenants(self) -> frozenset[str]:
        """Return the tenants that have a key."""
        return frozenset(caller.tenant for _, caller in self._callers.values())

    def _digest(self, key: bytes) -> bytes:
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
    >>> sorted(parse_keys('{"k1": "acme:read+write"}')[0].scopes)
    [<Scope.READ: 'read'>, <Scope.WRITE: 'write'>]

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
        scopes = frozenset(Scope(name) for name in "".join(parts[2:]).split("+") if name)
    except ValueError as error:
        raise ParameterError(f"API key number {number} has an unknown scope", hint=_HINT) from error
    if Scope.ADMIN in scopes or not scopes:
        scopes = EVERYTHING
    return ApiKey(parts[0], parts[1], scopes)


_HINT = "Write key:tenant or key:tenant:read+write; scopes are read, write, operate and admin."
