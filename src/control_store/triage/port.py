"""What people decided about dead letters, as its callers see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


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
