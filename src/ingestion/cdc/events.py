"""From a record of a change topic to the events it means."""

from __future__ import annotations

from collections.abc import Sequence

from agentflow.events import RawEvent
from ingestion.cdc.change import Refusal, RowChange, TopicRecord
from ingestion.cdc.documents import documents, of_any_age, tenant_of
from ingestion.cdc.normalise import normalise
from ingestion.cdc.sources import Sources


def events_of(
    record: TopicRecord, sources: Sources, *, received_us: int
) -> Sequence[RawEvent] | Refusal:
    """Return the events that *record* means under *sources*; none of a tombstone or a heartbeat."""
    change = normalise(record)
    if not isinstance(change, RowChange):
        return change if isinstance(change, Refusal) else ()
    means = documents(change, sources)
    if isinstance(means, Refusal):
        return means
    any_age = of_any_age(change, sources)
    return [RawEvent(each, tenant_of(each), received_us, any_age) for each in means]
