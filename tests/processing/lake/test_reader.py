"""Readers see whole batches, in order, and only the files they need."""

from __future__ import annotations

from agentflow.events import EventRef
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.lake import Lake, LakeReader, LakeWriter, Positions, lake_health
from processing.lake.commit import OffsetRange, append
from processing.lake.rows import StoredEvent, rows_of
from quality import Gate
from tests.fakes.memory_log import MemoryLog
from tests.processing.lake.conftest import NOW_US, Publish, cancelled, order

CREATED = EventRef("order.created", 1)
HOUR_US = 3_600_000_000


def write(lake: Lake, log: MemoryLog, gate: Gate) -> None:
    ends = Positions(log.end(VALIDATED), log.end(DEAD_LETTERS))
    LakeWriter(lake, log, gate).write_up_to(ends)


def at(document: dict[str, object], day: int) -> dict[str, object]:
    return {**document, "time": f"2025-12-{day:02}T10:00:00Z"}


def test_a_range_of_event_time_names_only_its_own_days(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """A query over an hour must not open a year of files."""
    publish([at(order(day), day) for day in range(10, 31)])
    write(lake, log, gate)
    reader = LakeReader(lake, gate)
    noon_us = NOW_US - 12 * 24 * HOUR_US  # 2025-12-20T12:00:00Z

    found = reader.files(CREATED, start_us=noon_us - 6 * HOUR_US, end_us=noon_us)

    assert len(found) == 1
    assert "occurred_day=2025-12-20" in found[0]
    assert len(reader.files(CREATED)) == 21


def test_events_of_many_days_come_back_in_log_order(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """Files are by day, order is by arrival: late events make the two disagree."""
    publish([at(order(number), 30 - number % 7) for number in range(50)])
    publish([at(cancelled(number), 20 + number % 3) for number in range(50)])
    write(lake, log, gate)

    reader = LakeReader(lake, gate)

    assert [stored.offset for stored in reader.all_events()] == list(range(100))
    middle = reader.all_events(from_offset=30, up_to=60)
    assert [stored.offset for stored in middle] == list(range(30, 60))


def test_a_batch_under_way_is_not_read_as_if_it_were_complete(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """One table ahead of the others would make the rebuilt state a mixture of two moments."""
    publish([order(1)])
    write(lake, log, gate)
    publish([cancelled(1), order(2)])
    record = log.read(VALIDATED, start=2, limit=1)[0]
    rows = rows_of(lake.layouts[CREATED], [StoredEvent(2, gate.decode(CREATED, record.value))])
    append(lake, lake.name(CREATED), rows, OffsetRange(VALIDATED, 1, 3, log.log_id))

    reader = LakeReader(lake, gate)

    assert [stored.offset for stored in reader.all_events()] == [0]
    assert reader.positions() == Positions(1, 0)
    held = reader.slices([CREATED, EventRef("order.cancelled", 1)])
    assert {str(ref): each.until for ref, each in held.items()} == {
        "order.created@1": 3,
        "order.cancelled@1": 1,
    }


def test_health_is_read_from_metadata(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """An operator's page must not cost a scan."""
    publish([order(1), order(2), {"malformed": True}])
    write(lake, log, gate)
    for file in lake.directory.rglob("*.parquet"):
        file.unlink()

    found = lake_health(lake)

    tables = {table.table: table for table in found.tables}
    assert found.positions == Positions(2, 1)
    assert (tables["events.order_created_v1"].rows, tables["agentflow.dead_letters"].rows) == (2, 1)
    assert tables["events.order_created_v1"].size_bytes > 0
