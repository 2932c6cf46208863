"""What a Flink job left is never read as more than the tables hold, whoever commits first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from agentflow.clock import SystemClock
from agentflow.contracts import Registry
from agentflow.errors import StorageError
from agentflow.events import EventRef
from agentflow.metrics.plan import plan_metric
from agentflow.metrics.sql import QuerySpec
from ingestion.log.port import VALIDATED
from processing.history import History
from processing.lake import (
    Lake,
    LakeReader,
    Positions,
    Progressed,
    compact,
    lake_health,
    remove_repeats,
)
from processing.lake.columns import arrow_schema
from processing.lake.embedded import EmbeddedCatalog, LocalFiles
from processing.lake.maintenance import maintain
from processing.lake.reader import planned
from processing.lake.rows import StoredEvent, rows_of
from processing.transformations.layout import (
    DEAD_LETTER_TABLE,
    PROGRESS_TABLE,
    UNREAD,
    UNREAD_TABLE,
    progress_columns,
)
from quality import Gate
from tests.fakes.memory_log import MemoryLog
from tests.processing.lake.conftest import Publish, cancelled, order

CREATED = EventRef("order.created", 1)
CANCELLED = EventRef("order.cancelled", 1)


@pytest.fixture
def lake(tmp_path: Path, registry: Registry) -> Iterator[Lake]:
    """The tables a Flink job writes, in a folder: what is read of them is the same on S3."""
    folder = tmp_path / "lake"
    folder.mkdir()
    catalog = SqlCatalog("t", uri=f"sqlite:///{folder}/c.sqlite", warehouse=folder.as_uri())
    for namespace in ("events", "agentflow"):
        catalog.create_namespace(namespace)
    lake = Lake(EmbeddedCatalog(catalog), LocalFiles(folder), registry, coverage=Progressed())
    yield lake
    lake.close()


class Sink:
    """Commits of the tables of one checkpoint, one after another, in any order."""

    def __init__(self, lake: Lake, log: MemoryLog, gate: Gate) -> None:
        self._lake, self._log, self._gate = lake, log, gate

    def rows(self, ref: EventRef, *offsets: int) -> None:
        read = [self._log.read(VALIDATED, start=offset, limit=1)[0] for offset in offsets]
        stored = [StoredEvent(each.offset, self._gate.decode(ref, each.value)) for each in read]
        self._lake.fresh(self._lake.name(ref)).append(rows_of(self._lake.layouts[ref], stored))

    def progress(self, **last: int) -> None:
        schema = arrow_schema(progress_columns(self._lake.layouts.values()))
        row = pa.Table.from_pylist([last], schema=schema)
        self._lake.fresh(PROGRESS_TABLE).append(row)

    def unread(self, offset: int, table: str) -> None:
        row: dict[str, Any] = {"log_offset": offset, "table": table, "detail": "", "record": ""}
        schema = arrow_schema(UNREAD)
        self._lake.fresh(UNREAD_TABLE).append(pa.Table.from_pylist([row], schema=schema))


@pytest.fixture
def sink(lake: Lake, log: MemoryLog, gate: Gate, publish: Publish) -> Sink:
    publish([order(1), cancelled(1), order(2), order(3), cancelled(2)])
    return Sink(lake, log, gate)


def test_nothing_is_covered_before_the_first_progress(lake: Lake, sink: Sink, gate: Gate) -> None:
    """Rows without progress are those of a checkpoint whose other tables may still be missing."""
    sink.rows(CREATED, 0)

    assert LakeReader(lake, gate).positions() == Positions(0, 0)


def test_progress_covers_what_went_nowhere_too(lake: Lake, sink: Sink, gate: Gate) -> None:
    """A record seen before is taken in and dropped: waiting for its row would wait for ever."""
    sink.rows(CREATED, 0)
    sink.progress(validated=6, order_created_v1=0)

    assert LakeReader(lake, gate).positions() == Positions(7, 0)


def test_a_table_that_has_not_committed_yet_holds_the_claim_back(
    lake: Lake, sink: Sink, gate: Gate
) -> None:
    """Each table commits by itself: the progress of a checkpoint can come before its rows."""
    sink.rows(CREATED, 0)
    sink.rows(CANCELLED, 1)
    sink.progress(validated=1, order_created_v1=0, order_cancelled_v1=1)
    sink.rows(CREATED, 2, 3)
    sink.progress(validated=4, order_created_v1=3, order_cancelled_v1=4)
    reader = LakeReader(lake, gate)

    slices = reader.slices([CREATED, CANCELLED])
    assert (slices[CREATED].until, slices[CANCELLED].until) == (5, 2)  # as before
    assert reader.positions() == Positions(2, 0)
    assert [stored.offset for stored in reader.all_events()] == [0, 1]

    sink.rows(CANCELLED, 4)

    assert reader.positions() == Positions(5, 0)
    assert [stored.offset for stored in reader.all_events()] == [0, 1, 2, 3, 4]


def test_a_claim_is_never_taken_back(lake: Lake, sink: Sink, gate: Gate) -> None:
    """A table that gets a row now and then is as complete as the last checkpoint said it was."""
    sink.rows(CREATED, 0, 2)
    sink.progress(validated=3, order_created_v1=2)
    reader = LakeReader(lake, gate)
    assert reader.positions() == Positions(4, 0)

    sink.progress(validated=4, order_cancelled_v1=4)

    assert reader.positions() == Positions(4, 0)


def test_rows_before_their_progress_are_not_claimed(lake: Lake, sink: Sink, gate: Gate) -> None:
    """The other order: a table is ahead, and only it is."""
    sink.rows(CREATED, 0)
    sink.progress(validated=0, order_created_v1=0)
    sink.rows(CREATED, 2)
    reader = LakeReader(lake, gate)

    assert reader.positions() == Positions(1, 0)
    assert reader.slices([CREATED])[CREATED].until == 3


def test_what_the_job_could_not_read_is_not_covered(lake: Lake, sink: Sink, gate: Gate) -> None:
    """A job with older contracts puts records aside: their table lacks them, the others do not."""
    sink.rows(CREATED, 0)
    sink.unread(1, "order_cancelled_v1")
    sink.rows(CREATED, 2)
    sink.progress(validated=2, order_created_v1=2, unread_rows=1)
    reader = LakeReader(lake, gate)

    slices = reader.slices([CREATED, CANCELLED])
    assert (slices[CREATED].until, slices[CANCELLED].until) == (3, 1)
    assert reader.positions() == Positions(1, 0)


def test_merged_tables_say_what_they_said(lake: Lake, sink: Sink, gate: Gate) -> None:
    """Bounds are in the manifests of whatever files there are: a merge cannot lose them."""
    for offset in (0, 2, 3):
        sink.rows(CREATED, offset)
        sink.progress(validated=offset, order_created_v1=offset)
    before = LakeReader(lake, gate).positions()

    compact(lake, lake.name(CREATED), min_files=2)

    assert len(LakeReader(lake, gate).files(CREATED)) == 1
    assert LakeReader(lake, gate).positions() == before == Positions(4, 0)


def test_dead_letters_are_covered_by_themselves(lake: Lake, sink: Sink, gate: Gate) -> None:
    """They have a topic of their own, and so a position of their own."""
    sink.progress(dead_letters=7)
    reader = LakeReader(lake, gate)
    assert reader.positions() == Positions(0, 8)

    sink.progress(dead_letters=9, dead_letters_rows=9)

    assert reader.positions() == Positions(0, 8)
    assert lake.held([DEAD_LETTER_TABLE]).until[DEAD_LETTER_TABLE] == 8


def physical(lake: Lake) -> list[int]:
    rows = lake.table(lake.name(CREATED)).scan(selected_fields=("log_offset",)).to_arrow()
    return sorted(rows.column("log_offset").to_pylist())


def test_rows_of_a_second_job_are_read_once_and_taken_out(
    lake: Lake, log: MemoryLog, sink: Sink, gate: Gate, registry: Registry
) -> None:
    """After a network was split an old job may go on beside its successor for a while."""
    sink.rows(CREATED, 0, 2)
    sink.rows(CREATED, 2, 3)
    sink.rows(CREATED, 0)
    sink.progress(validated=3, order_created_v1=3)
    reader = LakeReader(lake, gate)
    history = History(reader, log, gate=gate, registry=registry)
    plan = plan_metric(registry.metric("order_count", None), events=registry.events)
    question = QuerySpec(tenant="acme", start_us=None, end_us=None)

    before = history.answer(plan, question, tail=False)
    assert [stored.offset for stored in reader.all_events()] == [0, 2, 3]
    assert (before[0].value, physical(lake)) == (3, [0, 0, 2, 2, 3])

    assert remove_repeats(lake, lake.name(CREATED)) == 2
    assert remove_repeats(lake, lake.name(CREATED)) == 0

    assert physical(lake) == [0, 2, 3]
    assert reader.positions() == Positions(4, 0)
    assert history.answer(plan, question, tail=False) == before
    history.close()


def test_repeats_are_taken_out_a_part_at_a_time(lake: Lake, sink: Sink, gate: Gate) -> None:
    """However long two jobs wrote: what is held in memory is bounded."""
    for offsets in ((0, 2), (2, 3), (0, 2, 3), (2,), (3,)):
        sink.rows(CREATED, *offsets)

    assert remove_repeats(lake, lake.name(CREATED), full_rows=2) == 6

    assert physical(lake) == [0, 2, 3]
    assert [stored.offset for stored in LakeReader(lake, gate).surviving(_never)] == [0, 2, 3]


def test_a_merge_does_not_hide_repeats_in_one_file(lake: Lake, sink: Sink) -> None:
    """Two writers are known by files that overlap: within a file nobody could tell."""
    sink.rows(CREATED, 0, 2)
    sink.rows(CREATED, 2, 3)

    compact(lake, lake.name(CREATED), min_files=2)

    assert physical(lake) == [0, 2, 3]


def test_jobs_that_take_turns_are_named_and_a_successor_is_not(lake: Lake) -> None:
    """A new job commits after the old one; only two that live do so one after the other."""
    for job in ("a", "a", "b"):
        commit(lake, job)
    assert lake_health(lake).rivals == ()

    commit(lake, "a")

    assert lake_health(lake).rivals == ["a", "b"]


def commit(lake: Lake, job: str) -> None:
    schema = arrow_schema(progress_columns(lake.layouts.values()))
    row = pa.Table.from_pylist([{"validated": 0}], schema=schema)
    lake.fresh(PROGRESS_TABLE).append(row, snapshot_properties={"flink.job-id": job})


def _never(file: object, error: Exception) -> None:
    raise AssertionError(f"{file}: {error}")


def test_a_store_that_is_down_is_named(lake: Lake, sink: Sink, gate: Gate) -> None:
    """The catalog may answer while S3 does not: health has to say so, and not to fail itself."""
    sink.rows(CREATED, 0)
    sink.progress(validated=0, order_created_v1=0)
    reader = LakeReader(lake, gate)
    tables = lake.tables([lake.name(CREATED)])
    for manifest in lake.directory.glob("*/*/metadata/*.avro"):
        manifest.unlink()

    with pytest.raises(StorageError, match="cannot be read"):
        reader.positions()
    with pytest.raises(StorageError, match="cannot be read"):
        lake_health(lake)
    with pytest.raises(StorageError, match="cannot be read"):
        planned(tables[lake.name(CREATED)], "")


def test_what_did_not_change_is_not_read_again(lake: Lake, sink: Sink, gate: Gate) -> None:
    """On S3 each look costs requests; what was read is not asked for, so it may even be gone."""
    for offset in (0, 2):
        sink.rows(CREATED, offset)
        sink.progress(validated=offset, order_created_v1=offset)
    reader = LakeReader(lake, gate)
    before = reader.positions()
    read = set(lake.directory.glob("*/*/metadata/*.avro"))
    sink.rows(CREATED, 3)
    sink.progress(validated=3, order_created_v1=3)
    added = set(lake.directory.glob("*/*/metadata/*.avro")) - read
    for file in read:
        file.unlink()

    after = reader.positions()
    for file in added:
        file.unlink()

    assert before == Positions(3, 0)
    assert reader.positions() == after == Positions(4, 0)


def test_maintenance_goes_through_every_table_of_a_job(lake: Lake, sink: Sink, gate: Gate) -> None:
    """What could not be read has offsets and no days; progress has neither."""
    sink.rows(CREATED, 0)
    sink.unread(1, "order_cancelled_v1")
    for last in range(4):
        sink.progress(validated=last, order_created_v1=0)
    before = LakeReader(lake, gate).positions()

    maintain(lake, clock=SystemClock(), min_files=2, grace=timedelta(0))

    assert {PROGRESS_TABLE, UNREAD_TABLE} <= set(lake.all_names())
    assert LakeReader(lake, gate).positions() == before
