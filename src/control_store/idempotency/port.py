"""One effect for each key: what the store of idempotency keys promises its callers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

IDEMPOTENCY_TTL_US: Final = 24 * 3600 * 1_000_000
"""For so long the answer to a key is remembered, from when it was given."""


@dataclass(frozen=True, slots=True)
class New:
    """The key was never used (or has expired): do the work, then `finish`.

    `resumed` is true when an earlier attempt with the same body was cut off before its answer was
    stored. Doing the work again is harmless: every event inside has an identity that counts once.
    """

    resumed: bool = False


@dataclass(frozen=True, slots=True)
class InProgress:
    """The same request is being worked on right now, here or elsewhere, since `started_us`."""

    started_us: int


@dataclass(frozen=True, slots=True)
class Done:
    """The request was answered; send this answer again, byte for byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Conflict:
    """The key was used with another body (another fingerprint)."""


Attempt = New | InProgress | Done | Conflict


class IdempotencyStore(Protocol):
    """One effect per (tenant, key) for 24 hours, and the same answer every time."""

    def begin(self, tenant: str, key: str, fingerprint: bytes, *, now_us: int) -> Attempt:
        """Claim *key* for a request whose canonical body hashes to *fingerprint*."""
        ...

    def finish(self, tenant: str, key: str, answer: Done, *, now_us: int) -> None:
        """Store the answer to give to every repetition of the request.

        Whether it is stored or not, this process does not work on the request any more.
        """
        ...

    def abandon(self, tenant: str, key: str) -> None:
        """Forget a claim whose work failed before it had any effect, so that a retry may do it."""
        ...

    def expire(self, *, now_us: int) -> int:
        """Delete what is older than 24 hours and return how many entries went."""
        ...
