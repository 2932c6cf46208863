"""How accepted events are laid out as rows: one table for each event type and major version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentflow.events import EventRef

NAMESPACE = "events"


@dataclass(frozen=True, slots=True)
class EnvelopeColumn:
    """A column that every event table has.

    Attributes:
        key: Position in the primary key, from 1; None when it is not part of it.
    """

    name: str
    type: Literal["string", "integer", "timestamp"]
    description: str
    key: int | None = None
    nullable: bool = False


ENVELOPE = (
    EnvelopeColumn("tenant", "string", "Who sent the event; decided by the API key.", key=1),
    EnvelopeColumn("source", "string", "CloudEvents source.", key=2),
    EnvelopeColumn("event_id", "string", "CloudEvents id; unique with its source.", key=3),
    EnvelopeColumn("occurred_at", "timestamp", "Event time, UTC."),
    EnvelopeColumn("ingested_at", "timestamp", "When the event was taken in, UTC."),
    EnvelopeColumn("log_offset", "integer", "Offset in the topic of accepted events."),
    EnvelopeColumn("ce_subject", "string", "CloudEvents subject.", nullable=True),
    EnvelopeColumn("ce_correlation_id", "string", "Ties a chain of events.", nullable=True),
)


def slug(ref: EventRef) -> str:
    """Return the name of an event type where dots and at signs are not allowed.

    >>> slug(EventRef("order.created", 1))
    'order_created_v1'
    """
    return f"{ref.type.replace('.', '_')}_v{ref.version}"
