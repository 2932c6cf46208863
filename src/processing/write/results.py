"""What became of events, as the sender is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from quality.verdict import Accepted, Violation

EventStatus = Literal["accepted", "duplicate", "rejected"]
IdentifiedBy = Literal["id", "content"]


@dataclass(frozen=True, slots=True)
class EventResult:
    """What became of one event.

    Attributes:
        offset: Its place in `validated`; for a duplicate, where it was first accepted. None when a
            stream decides, which has not happened yet.
        dead_letter: Its place in `dead_letters`, when it was rejected and that is known.
        violations: Why it was rejected, or what the contract warns of.
        identified_by: What makes another event the same one: source and id or, where it came
            without an id, its content. None when it was rejected.
        raw: Its topic and partition, and its offset there, where a token has to say that.
    """

    status: EventStatus
    id: str | None
    type: str | None
    offset: int | None
    dead_letter: int | None
    violations: tuple[Violation, ...]
    raw: tuple[str, int] | None = None
    identified_by: IdentifiedBy | None = None


def identified_by(accepted: Accepted) -> IdentifiedBy:
    """Return what makes another event the same one."""
    return "content" if accepted.identified_by_content else "id"


def taken(verdict: Accepted, status: EventStatus, offset: int | None) -> EventResult:
    """Return what became of an event that the gate accepts: counted, or counted before."""
    event = verdict.event
    return EventResult(
        status,
        event.id,
        event.type,
        offset,
        None,
        verdict.warnings,
        identified_by=identified_by(verdict),
    )
