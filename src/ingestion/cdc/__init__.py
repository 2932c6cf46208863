"""Change data capture: from a Debezium record to a change of a row, to the events it means. Pure.

`normalise` reads one record of any connector; `documents` says what the change becomes by the
source contracts; `events_of` does both. None of them raises, whatever the bytes are. All run inside
Flink workers.
"""

from ingestion.cdc.change import Ignored, Malformed, Refusal, RowChange, TopicRecord
from ingestion.cdc.documents import documents, of_any_age, tenant_of
from ingestion.cdc.events import events_of
from ingestion.cdc.normalise import normalise
from ingestion.cdc.sources import Sources

__all__ = [
    "Ignored",
    "Malformed",
    "Refusal",
    "RowChange",
    "Sources",
    "TopicRecord",
    "documents",
    "events_of",
    "normalise",
    "of_any_age",
    "tenant_of",
]
