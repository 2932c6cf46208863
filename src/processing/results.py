"""What becomes of events, as the sender is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from quality.verdict import Violation

Status = Literal["accepted", "duplicate", "rejected"]


@dataclass(frozen=True, slots=True)
class EventResult:
    """What became of one event.

    Attributes:
        offset: Its place in `validated`; for a duplicate, where it was first accepted. None when a
            stream decides, which has not happened yet.
        dead_letter: Its place in `dead_letters`, when it was rejected and that is known.
        violations: Why it was rejected, or what the contract warns of.
        raw: Its topic and partition, and its offset there, where a token has to say that.
    """

    status: Status
    id: str | None
    type: str | None
    offset: int | None
    dead_letter: int | None
    violations: tuple[Violation, ...]
    raw: tuple[str, int] | None = None
