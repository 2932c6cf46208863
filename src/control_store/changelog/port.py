"""The history of contracts, as its callers see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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
