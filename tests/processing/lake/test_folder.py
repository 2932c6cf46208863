"""A lake that was copied or moved opens as it is, and leaves the place it came from alone."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog

from agentflow.clock import ManualClock
from agentflow.contracts import Registry
from agentflow.events import EventRef
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.lake import Lake, LakeReader, LakeWriter, Positions, Recorded, compact, open_lake
from processing.lake.embedded import EmbeddedCatalog, LocalFiles
from processing.lake.folder import ForeignLocationError, path_in
from processing.lake.inspection import inspect
from processing.lake.maintenance import sweep
from quality import Gate
from tests.fakes.memory_log import MemoryLog
from tests.processing.lake.conftest import NOW_US, Publish, order

CREATED = EventRef("order.created", 1)


@pytest.fixture(scope="module")
def shop(registry: Registry) -> Registry:
    return Registry.of([registry.events[CREATED]])


@pytest.mark.parametrize("place", ["plain", "a b%20c", "events/x/data", "agentflow/events"])
def test_a_moved_lake_is_read_written_merged_and_swept_where_it_is(
    tmp_path: Path, log: MemoryLog, gate: Gate, publish: Publish, shop: Registry, place: str
) -> None:
    """Whatever words are in the paths: they are those of the lake's own folders too."""
    before, after = tmp_path / place / "lake", tmp_path / "moved" / place / "lake"
    lake = open_lake(before, shop)
    fill(lake, log, gate, publish, first=0)
    lake.close()
    shutil.copytree(before, after)
    untouched = contents(before)

    assert inspect(after) == []
    lake = open_lake(after, shop)
    fill(lake, log, gate, publish, first=2)
    assert compact(lake, lake.name(CREATED), min_files=4).rows == 4
    sweep(lake, lake.name(CREATED), clock=ManualClock(NOW_US * 2), grace=timedelta())

    reader = LakeReader(lake, gate)
    assert [stored.offset for stored in reader.all_events()] == [0, 1, 2, 3]
    assert all(Path(path).is_relative_to(after) for path in reader.files(CREATED))
    assert contents(before) == untouched
    lake.close()


def test_a_lake_whose_old_place_is_gone_opens(
    tmp_path: Path, log: MemoryLog, gate: Gate, publish: Publish, registry: Registry
) -> None:
    """Twice, with tables made in between: each table has another place in its metadata."""
    created, cancelled = (
        registry.events[EventRef(name, 1)] for name in ("order.created", "order.cancelled")
    )
    lake = open_lake(tmp_path / "first", Registry.of([created]))
    fill(lake, log, gate, publish, first=0)
    lake.close()
    (tmp_path / "first").rename(tmp_path / "second")
    both = Registry.of([created, cancelled])
    open_lake(tmp_path / "second", both).close()
    (tmp_path / "second").rename(tmp_path / "third")

    assert inspect(tmp_path / "third") == []
    lake = open_lake(tmp_path / "third", both)
    fill(lake, log, gate, publish, first=2)
    assert [stored.offset for stored in LakeReader(lake, gate).all_events()] == [0, 1, 2, 3]
    lake.close()


def test_a_lake_made_before_locations_were_relative_opens_and_moves(
    tmp_path: Path, log: MemoryLog, gate: Gate, publish: Publish, shop: Registry
) -> None:
    """PyIceberg's own way of files wrote it; nothing in it says otherwise."""
    (tmp_path / "old").mkdir()
    where = {
        "uri": f"sqlite:///{tmp_path}/old/catalog.sqlite",
        "warehouse": (tmp_path / "old").as_uri(),
    }
    catalog = SqlCatalog("agentflow", **where)
    for namespace in ("events", "agentflow"):
        catalog.create_namespace(namespace)
    files = LocalFiles(tmp_path / "old")
    lake = Lake(EmbeddedCatalog(catalog), files, shop, coverage=Recorded())
    fill(lake, log, gate, publish, first=0)
    lake.close()
    (tmp_path / "old").rename(tmp_path / "new")

    assert inspect(tmp_path / "new") == []
    lake = open_lake(tmp_path / "new", shop)
    fill(lake, log, gate, publish, first=2)
    assert [stored.offset for stored in LakeReader(lake, gate).all_events()] == [0, 1, 2, 3]
    lake.close()


@given(
    root=st.lists(st.sampled_from(["events", "agentflow", "data", "metadata", "a b", "ü"])),
    table=st.sampled_from(["order_v1", "batches"]),
    tail=st.sampled_from(["", "/metadata/v1.json", "/data/a.parquet", "/data/day=2026-01-01/a.p"]),
)
def test_a_location_is_found_by_its_tail_whatever_comes_before(
    root: list[str], table: str, tail: str
) -> None:
    """Law: no root makes another file of it, and a path that was found is found again."""
    location = f"{Path('/', *root).as_uri().rstrip('/')}/events/{table}{tail}"

    found = path_in(Path("/now/lake"), location)

    assert found == f"/now/lake/events/{table}{tail}"
    assert path_in(Path("/now/lake"), found) == found


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "/x/events/../../etc/data/shadow", "/x/other/t/data/f"]
)
def test_a_location_outside_every_table_is_refused(location: str) -> None:
    """A lake that came from elsewhere must not make this machine read its other files."""
    with pytest.raises(ForeignLocationError, match="is not in the lake"):
        path_in(Path("/now/lake"), location)


def fill(lake: Lake, log: MemoryLog, gate: Gate, publish: Publish, *, first: int) -> None:
    writer = LakeWriter(lake, log, gate)
    for number in (first, first + 1):
        publish([order(number)])
        writer.write_up_to(Positions(log.end(VALIDATED), log.end(DEAD_LETTERS)))


def contents(folder: Path) -> dict[str, int]:
    return {
        str(path): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if "sqlite" not in path.name
    }
