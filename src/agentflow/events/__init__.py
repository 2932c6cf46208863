"""The envelope every event travels in (CloudEvents 1.0), and what makes two events the same."""

from agentflow.events.envelope import UNMAPPED, Event, EventRef, RawEvent
from agentflow.events.identity import canonical_json, content_id, identity_key

__all__ = [
    "UNMAPPED",
    "Event",
    "EventRef",
    "RawEvent",
    "canonical_json",
    "content_id",
    "identity_key",
]
