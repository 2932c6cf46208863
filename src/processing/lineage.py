"""Where an event went: only the hops that really happened, down to offset and snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentflow.errors import NotFoundError
from agentflow.events import Event, EventRef, identity_key
from ingestion.log.port import RAW, VALIDATED, Record
from processing.live.groups import decoded
from processing.platform import Platform


@dataclass(frozen=True, slots=True)
class Hop:
    """One place an event has been.

    Attributes:
        hop: `raw`, `validated`, `live` or `lake`.
        place: Topic, table, or the names of the metrics that read it.
        offset: Position in the topic, or that the engine or the table covers.
        snapshot_id: Iceberg snapshot whose files hold the event.
    """

    hop: str
    place: str
    offset: int | None
    snapshot_id: int | None = None
    file: str | None = None
    at_us: int | None = None


@dataclass(frozen=True, slots=True)
class EventLineage:
    """An accepted event and its hops, in the order they happened."""

    event: Event
    offset: int
    hops: Sequence[Hop]


def event_lineage(platform: Platform, tenant: str, source: str, event_id: str) -> EventLineage:
    """Follow one event; blocks on files, so not on the event loop.

    Raises:
        NotFoundError: No accepted event has that source and id.
    """
    log = platform.parts.log
    offset = log.find_identity(identity_key(tenant, source, event_id))
    records = log.read_offsets(VALIDATED, [offset]) if offset is not None else ()
    if offset is None or not records:
        raise NotFoundError(
            f'event "{event_id}" from "{source}" was never accepted',
            hint="Pass the CloudEvents source it was sent with; see also GET /v1/deadletter.",
        )
    record = records[0]
    ((_, event),) = decoded(records, platform.definitions.gate)
    hops = [
        *_raw_hops(record, event),
        Hop("validated", VALIDATED, offset),
    ]
    hops += _live_hops(platform, event.ref, offset)
    hops += _lake_hops(platform, event.ref, offset)
    return EventLineage(event, offset, hops)


def _raw_hops(record: Record, event: Event) -> list[Hop]:
    """Return none for an event that was put back from the lake: its raw bytes were lost."""
    raw_offset = record.headers.get("raw_offset")
    return [] if raw_offset is None else [Hop("raw", RAW, int(raw_offset), at_us=event.ingested_us)]


def _live_hops(platform: Platform, ref: EventRef, offset: int) -> list[Hop]:
    if platform.engine.next_offset <= offset:
        return []
    metrics = sorted({metric.name for metric in platform.registry.moved_by(ref)})
    return [Hop("live", name, platform.engine.next_offset - 1) for name in metrics]


def _lake_hops(platform: Platform, ref: EventRef, offset: int) -> list[Hop]:
    found = platform.parts.reader.locate(ref, offset)
    if found is None:
        return []
    return [Hop("lake", found.table, offset, found.snapshot_id, found.file)]
