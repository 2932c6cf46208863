"""Control state as its callers see it: idempotency keys, triage, the contract changelog.

Three small ports, because three different callers need them. Each is durable when a method returns
and may be called from any thread. SQLite stands behind them when embedded, PostgreSQL later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class New:
    """The key was never used (or has expired): do the work, then `finish`.

    `resumed` is true when an earlier attempt with the same body was cut off before its answer was
    stored. Doing the work again is harmless: every event inside has an identity that counts once.
    """

    resumed: bool = False


@dataclass(frozen=True, slots=True)
class InProgress:
    """The same request is being worked on right now, in this process, since `started_us`."""

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
        """Store the answer to give to every repetition of the request."""
        ...

    def abandon(self, tenant: str, key: str) -> None:
        """Forget a claim whose work failed before it had any effect, so that a retry may do it."""
        ...

    def expire(self, *, now_us: int) -> int:
        """Delete what is older than 24 hours and return how many entries went."""
        ...


class TriageStatus(StrEnum):
    """Where a dead letter stands. One that was never triaged is `open`."""

    OPEN = "open"
    FIXED = "fixed"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Triage:
    """The latest decision about one dead letter.

    Attributes:
        offset: Its offset in the `dead_letters` topic.
        replayed_as: Offset in `validated` of the event it became, once replayed.
        fixed_value: The corrected bytes, if they were corrected.
    """

    offset: int
    status: TriageStatus
    note: str
    who: str
    decided_us: int
    replayed_as: int | None = None
    fixed_value: bytes | None = None


class TriageStore(Protocol):
    """What people decided about dead letters. An offset without an entry is open."""

    def decide(self, triage: Triage) -> None:
        """Store the decision; the latest call for an offset wins."""
        ...

    def triage(self, offsets: Sequence[int]) -> Mapping[int, Triage]:
        """Return the decisions about *offsets*; those still open are left out."""
        ...

    def triaged(
        self, status: TriageStatus, *, after: int = -1, limit: int = 100
    ) -> Sequence[Triage]:
        """Return decisions with *status* for offsets above *after*, in offset order."""
        ...

    def counts(self) -> Mapping[TriageStatus, int]:
        """Return how many dead letters have each status, without those never triaged."""
        ...


@dataclass(frozen=True, slots=True)
class ContractChange:
    """One published change of one contract.

    Attributes:
        kind: `event`, `entity` or `metric`.
        fingerprint: Of the contract's meaning; the same meaning is never published twice in a row.
        summary: What changed, for people.
    """

    published_us: int
    kind: str
    name: str
    version: int
    fingerprint: str
    summary: str


class ChangelogStore(Protocol):
    """The append-only history of contracts."""

    def publish(self, change: ContractChange) -> bool:
        """Append *change* unless that contract version's latest fingerprint is the same."""
        ...

    def changes(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, ContractChange]]:
        """Return (sequence number from 1, change) above *after*, oldest first."""
        ...


class ControlStore(IdempotencyStore, TriageStore, ChangelogStore, Protocol):
    """All control state behind one connection."""

    def close(self) -> None:
        """Release files; further calls fail."""
        ...
