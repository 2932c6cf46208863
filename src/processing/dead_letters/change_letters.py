"""Dead letters of changes, read once more: a record of a database says which events it means."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agentflow.events import RawEvent
from ingestion.cdc import Refusal, Sources, TopicRecord, events_of
from processing.transformations.dead_letter import DeadLetter
from quality.verdict import Rejected

_REASONS = "cdc_"
_PLACE = "/cdc/"


class _Event(msgspec.Struct):
    type: str | None = None


def means_changes(letter: DeadLetter, value: bytes) -> bool:
    """Tell whether *value*, which is sent for a dead letter, is a change and not an event.

    A fix may put a whole event in the place of a change.
    """
    if not letter.reason.startswith(_REASONS) or not (letter.source or "").startswith(_PLACE):
        return False
    try:
        return msgspec.json.decode(value, type=_Event).type is None
    except msgspec.MsgspecError:
        return False


def change_events(
    letter: DeadLetter, value: bytes, sources: Sources, *, received_us: int
) -> Sequence[RawEvent] | Rejected:
    """Return the events that a refused change means under *sources*, or why it still means none."""
    topic = (letter.source or "").removeprefix(_PLACE)
    means = events_of(TopicRecord(topic, None, value, ()), sources, received_us=received_us)
    return means.rejected() if isinstance(means, Refusal) else means
