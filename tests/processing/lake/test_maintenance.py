"""The lake stays small without forgetting anything."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agentflow.clock import ManualClock, SystemClock
from agentflow.errors import StorageCorruptError
from agentflow.events import EventRef
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.lake import Lake, LakeReader, LakeWriter, Positions, compact, sweep
from processing.lake.catalog import BATCH_TABLE, DEAD_LETTER_TABLE
from processing.lake.coverage import covered
from processing.lake.maintenance import maintain
from quality import Gate
from tests.fakes.memory_log import MemoryLog
from tests.processing.lake.conftest import Publish, order

CREATED = EventRef("order.created", 1)
HOUR = timedelta(hours=1)


def fill(lake: Lake, log: MemoryLog, gate: Gate, publish: Publish, *, batches: int) -> LakeWriter:
    writer = LakeWriter(lake, log, gate)
    for number in range(batches):
        publish([order(2 * number), order(2 * number + 1), {"malformed": number}])
        writer.write_up_to(Positions(log.end(VALIDATED), log.end(DEAD_LETTERS)))
    return writer


def test_a_merge_keeps_every_row_and_the_covered_offsets(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """Offsets that got lost in a merge would make the writer append everything again."""
    fill(lake, log, gate, publish, batches=10)
    before = list(LakeReader(lake, gate).all_events())

    merged = compact(lake, lake.name(CREATED))
    dead = compact(lake, DEAD_LETTER_TABLE)

    reader = LakeReader(lake, gate)
    assert (merged.merges, merged.files_before, merged.rows) == (1, 10, 20)
    assert dead.rows == 10
    assert len(reader.files(CREATED)) == 1
    assert list(reader.all_events()) == before
    assert covered(lake.table(lake.name(CREATED)), VALIDATED) == 20


def test_a_file_that_is_full_is_not_written_again(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """A merge of the whole day, again and again, would hold the day in memory each time."""
    writer = fill(lake, log, gate, publish, batches=5)
    first = compact(lake, lake.name(CREATED), min_files=2, full_rows=6)
    for number in range(100, 103):
        publish([order(number)])
        writer.write_up_to(Positions(log.end(VALIDATED), log.end(DEAD_LETTERS)))
    before = list(LakeReader(lake, gate).all_events())

    again = compact(lake, lake.name(CREATED), min_files=2, full_rows=6)

    assert (first.merges, first.files_before, first.rows) == (2, 5, 10)
    assert (again.merges, again.files_before, again.rows) == (1, 3, 6)
    assert len(LakeReader(lake, gate).files(CREATED)) == 3
    assert list(LakeReader(lake, gate).all_events()) == before


def test_the_writer_goes_on_after_a_merge(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """A merge is a commit between two of the writer's: neither may undo the other."""
    writer = fill(lake, log, gate, publish, batches=9)
    compact(lake, lake.name(CREATED))

    publish([order(100)])
    writer.write_up_to(Positions(log.end(VALIDATED), log.end(DEAD_LETTERS)))

    assert [stored.offset for stored in LakeReader(lake, gate).all_events()] == list(range(19))


def test_a_sweep_deletes_what_is_old_and_unneeded_only(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """What was cut off or merged away takes space for ever otherwise; what is young may be live."""
    fill(lake, log, gate, publish, batches=20)
    name = lake.name(CREATED)
    compact(lake, name)
    stray = lake.directory / "events" / "order_created_v1" / "data" / "cut-off.parquet"
    stray.write_bytes(b"half a file")

    young = sweep(lake, name, clock=SystemClock(), grace=HOUR)
    later = ManualClock(SystemClock().now_us())
    later.advance(2 * HOUR)
    old = sweep(lake, name, clock=later, grace=HOUR)

    assert young == 0
    assert old > 0
    assert not stray.exists()
    assert len(list(LakeReader(lake, gate).all_events())) == 40
    assert len(metadata_files(lake.directory)) <= 6


def test_maintenance_goes_through_every_table_of_a_lake(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """The table of batches has no offsets to look at: it must not stop what follows it."""
    fill(lake, log, gate, publish, batches=20)
    later = ManualClock(SystemClock().now_us())
    later.advance(2 * HOUR)
    reader = LakeReader(lake, gate)
    before = list(reader.all_events())

    maintain(lake, clock=later, min_files=8, grace=HOUR)

    assert BATCH_TABLE in lake.all_names()
    assert list(reader.all_events()) == before
    assert reader.positions() == Positions(40, 20)
    assert len(reader.files(CREATED)) == 1


def test_files_that_lack_rows_are_not_merged(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """A merge would make a loss look whole: the new file declares what it holds."""
    fill(lake, log, gate, publish, batches=10)
    before = LakeReader(lake, gate).files(CREATED)
    data = Path(lake.table(lake.name(CREATED)).location().removeprefix("file://"), "data")
    first = min(data.rglob("*.parquet"))
    pq.write_table(pq.read_table(first).slice(1), first)

    with pytest.raises(StorageCorruptError, match=r"19 rows .* its files declare 20"):
        compact(lake, lake.name(CREATED))

    assert LakeReader(lake, gate).files(CREATED) == before


def test_a_table_that_cannot_be_maintained_holds_up_no_other(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """Otherwise one damaged table would let all others grow, and keep their old files."""
    fill(lake, log, gate, publish, batches=10)
    dead = lake.table(DEAD_LETTER_TABLE)
    for file in Path(dead.location().removeprefix("file://"), "data").rglob("*.parquet"):
        file.write_bytes(b"damaged")

    with pytest.raises(pa.ArrowInvalid) as raised:
        maintain(lake, clock=SystemClock(), min_files=8, grace=HOUR)

    assert "agentflow.dead_letters" in "".join(raised.value.__notes__)
    assert len(LakeReader(lake, gate).files(CREATED)) == 1


def metadata_files(directory: Path) -> list[Path]:
    return list((directory / "events" / "order_created_v1" / "metadata").glob("*.metadata.json"))
