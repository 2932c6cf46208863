"""Events as rows and rows as events: the same event comes back, to the last digit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

from agentflow.errors import StorageCorruptError
from agentflow.events import Event, EventRef
from ingestion.log.port import Record
from processing.lake.columns import (
    DEAD_LETTERS,
    ENVELOPE,
    INSTANT,
    ArrowType,
    Layout,
    arrow_schema,
    arrow_type,
)

ArrowTable = Any  # pyarrow has no types
ArrowArray = Any
_ENVELOPE_FIELDS = attrgetter(
    "tenant", "source", "id", "occurred_us", "ingested_us", "subject", "correlation_id"
)


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """An event and its offset in the topic of accepted events."""

    offset: int
    event: Event


def rows_of(layout: Layout, stored: Sequence[StoredEvent]) -> ArrowTable:
    """Return the rows of events of one version.

    Raises:
        StorageCorruptError: A value does not fit its column; the gate lets no such value through.
    """
    events = [item.event for item in stored]
    envelope: list[Sequence[object]] = [list(values) for values in _columns(events)]
    envelope.insert(5, [item.offset for item in stored])
    arrays = [
        _array(values, arrow_type(column.type))
        for values, column in zip(envelope, ENVELOPE, strict=True)
    ]
    if events:
        names = _attributes(type(events[0].data))
        for column in layout.fields:
            attribute = attrgetter(names[column.name])
            arrays.append(
                _array([attribute(event.data) for event in events], arrow_type(column.type))
            )
    else:
        arrays += [pa.array([], arrow_type(column.type)) for column in layout.fields]
    return pa.Table.from_arrays(arrays, schema=arrow_schema(layout.columns))


def dead_letter_rows(records: Sequence[Record]) -> ArrowTable:
    """Return the rows of dead letters."""
    headers = [record.headers for record in records]
    raw_offsets = [header.get("raw_offset") for header in headers]
    columns: list[Sequence[object]] = [
        [header.get("tenant", "") for header in headers],
        [record.timestamp_us for record in records],
        [record.offset for record in records],
        [header.get("reason", "unknown") for header in headers],
        [header.get("type") for header in headers],
        [header.get("event_id") for header in headers],
        [None if offset is None else int(offset) for offset in raw_offsets],
        [record.value.decode("utf-8", "replace") for record in records],
    ]
    arrays = [
        _array(values, arrow_type(column.type))
        for values, column in zip(columns, DEAD_LETTERS, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=arrow_schema(DEAD_LETTERS))


def events_of(
    rows: ArrowTable, *, ref: EventRef, data_type: type[msgspec.Struct]
) -> Iterator[StoredEvent]:
    """Yield the events of *rows*; columns the rows lack (older files) are None."""
    present = set(rows.schema.names)
    nothing = [None] * rows.num_rows

    def values(name: str) -> list[Any]:
        return _values(rows.column(name)) if name in present else nothing

    envelope = [values(column.name) for column in ENVELOPE]
    fields = [values(name) for name in data_type.__struct_encode_fields__]
    data = map(data_type, *fields) if fields else (data_type() for _ in nothing)
    for (tenant, source, event_id, occurred, ingested, offset, subject, correlation), item in zip(
        zip(*envelope, strict=True), data, strict=True
    ):
        event = Event(
            event_id,
            source,
            ref.type,
            ref.version,
            tenant,
            occurred,
            ingested,
            item,
            subject,
            correlation,
        )
        yield StoredEvent(offset, event)


def _columns(events: Sequence[Event]) -> Sequence[Sequence[object]]:
    return list(zip(*map(_ENVELOPE_FIELDS, events), strict=True)) if events else [()] * 7


def _attributes(data_type: type[msgspec.Struct]) -> dict[str, str]:
    """Return the struct attribute of each field; they differ for words that Python reserves."""
    return dict(zip(data_type.__struct_encode_fields__, data_type.__struct_fields__, strict=True))


def _array(values: Sequence[object], arrow: ArrowType) -> ArrowArray:
    try:
        if pa.types.is_date(arrow):
            return pa.array(values, pa.string()).cast(arrow)
        return pa.array(values, arrow)
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
        raise StorageCorruptError(f"a value does not fit a lake column of type {arrow}") from error


def _values(array: ArrowArray) -> list[Any]:
    """Return Python values the way event data holds them: instants as int, dates as text."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        array = array.cast(INSTANT).cast(pa.int64())
    elif pa.types.is_date(kind):
        array = array.cast(pa.string())
    values: list[Any] = array.to_pylist()
    return values
