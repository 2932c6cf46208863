"""A catalog that stores a commit and says that it did not: nothing is deleted, lost or doubled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import requests
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.update import TableRequirement, TableUpdate
from requests import PreparedRequest, Response
from sqlalchemy.exc import OperationalError

from agentflow.clock import ManualClock
from agentflow.contracts import Registry
from agentflow.events import EventRef
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.lake import Lake, LakeReader, LakeWriter, Positions, Recorded, compact
from processing.lake.catalog import DEAD_LETTER_TABLE
from processing.lake.embedded import EmbeddedCatalog, LocalFiles
from processing.lake.landing import FindsItsCommit
from processing.lake.maintenance import expire_snapshots, sweep
from processing.lake.port import TableCatalog
from processing.lake.remote import RemoteCatalog
from quality import Gate
from tests.fakes.memory_log import MemoryLog
from tests.fakes.rest_catalog import CatalogServer, ClientOfServer, answer, problem
from tests.processing.lake.conftest import NOW_US, Publish, batch_of, cancelled, order
from tests.processing.lake.test_writer import with_field

CREATED = EventRef("order.created", 1)
CANCELLED = EventRef("order.cancelled", 1)

Answers = list[str]
"""What becomes of the next commits: `ok`, or a kind of fault, `landed` or `lost` behind it."""


@dataclass
class Faults:
    """Takes one entry for each commit; without entries all is well."""

    plan: Answers = field(default_factory=list)
    met: int = 0

    def next(self) -> str:
        self.met += 1
        return self.plan.pop(0) if self.plan else "ok"


class LyingSqlCatalog(SqlCatalog):
    """A catalog in SQLite whose commits go as planned."""

    faults: Faults

    def commit_table(
        self,
        table: Table,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> CommitTableResponse:
        kind, _, outcome = self.faults.next().partition(" ")
        if outcome == "lost":
            raise error_of(kind)
        response = super().commit_table(table, requirements, updates)
        if kind != "ok":
            raise error_of(kind)
        return response


class CheckedLyingCatalog(FindsItsCommit, LyingSqlCatalog):
    """The same with the product's look behind it."""


def error_of(kind: str) -> Exception:
    if kind == "conflict":
        return CommitFailedException("updated by another process")
    return OperationalError("COMMIT", {}, Exception("connection lost"))


def lying_server(store: SqlCatalog, faults: Faults) -> CatalogServer:
    """Return a REST server whose answers to commits go as planned."""
    server = CatalogServer(store)

    def fault(request: PreparedRequest, response: Response) -> Response:
        is_commit = request.method == "POST" and "/tables/" in (request.path_url or "")
        return answered(faults.next(), request, response) if is_commit else response

    server.fault = fault
    return server


def answered(kind: str, request: PreparedRequest, response: Response) -> Response:
    match kind.split(" ", maxsplit=1)[0]:
        case "ok":
            return response
        case "conflict":
            return answer(request, 409, problem(409, "CommitFailedException", "conflict"))
        case "cut":
            raise requests.ConnectionError("the answer was lost")
        case status:
            return answer(request, int(status), problem(int(status), "Failed", "of the server"))


Opened = tuple[Callable[[], Lake], Faults]


@pytest.fixture(scope="module")
def shop(registry: Registry) -> Registry:
    """Two event types: each table that a lake makes costs a commit."""
    return Registry.of([registry.events[CREATED], registry.events[CANCELLED]])


@pytest.fixture(params=["embedded", "remote"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, shop: Registry) -> Iterator[Opened]:
    faults = Faults()
    where = {"uri": f"sqlite:///{tmp_path}/c.sqlite", "warehouse": (tmp_path / "lake").as_uri()}
    store: SqlCatalog
    catalog: TableCatalog
    if request.param == "embedded":
        store = checked = local_catalog(tmp_path)
        faults = checked.faults
        catalog = EmbeddedCatalog(checked)
    else:
        store = SqlCatalog("agentflow", **where)
        server = lying_server(store, faults)
        catalog = RemoteCatalog(partial(ClientOfServer, server), where["warehouse"])
    files = LocalFiles(tmp_path / "lake")
    yield lambda: Lake(catalog, files, shop, coverage=Recorded()), faults
    catalog.close()
    store.close()


LANDED = ["conflict landed", "503 landed", "cut landed"]


@pytest.mark.parametrize("kind", LANDED)
def test_a_commit_that_landed_is_kept_whatever_the_catalog_says(
    opened: Opened, log: MemoryLog, gate: Gate, publish: Publish, kind: str
) -> None:
    """Its files are the table's: deleted, no later query or commit could read the table."""
    lake, faults = opened[0](), opened[1]
    publish([order(1), cancelled(1), {"nonsense": True}])
    faults.plan = [kind] * 4

    writer = LakeWriter(lake, log, gate)
    writer.write_up_to(ends(log))

    assert faults.plan == []
    assert faults.met == 4, "each table is committed to once"
    publish([order(2)])
    writer.write_up_to(ends(log))
    assert offsets(lake, gate) == [0, 1, 2]
    assert lake.table(DEAD_LETTER_TABLE).scan().count() == 1


@pytest.mark.parametrize("kind", ["conflict landed", "cut landed"])
def test_a_merge_that_landed_is_kept_whatever_the_catalog_says(
    opened: Opened, log: MemoryLog, gate: Gate, publish: Publish, kind: str
) -> None:
    """A merge takes the place of files that the sweep deletes later: it must not go itself."""
    lake, faults = opened[0](), opened[1]
    writer = LakeWriter(lake, log, gate)
    for number in range(3):
        publish([order(number)])
        writer.write_up_to(ends(log))
    faults.plan = [kind]

    merged = compact(lake, lake.name(CREATED), min_files=3)

    assert (merged.merges, merged.rows) == (1, 3)
    sweep(lake, lake.name(CREATED), clock=ManualClock(NOW_US * 2), grace=timedelta())
    assert offsets(lake, gate) == [0, 1, 2]
    assert len(list(lake.fresh(lake.name(CREATED)).scan().plan_files())) == 1


def test_a_table_and_a_column_are_made_whatever_the_catalog_says(
    opened: Opened, log: MemoryLog, shop: Registry, publish: Publish
) -> None:
    """Their commits have no snapshot to look for: what there is now is compared with the wish."""
    lake, faults = opened[0](), opened[1]
    wider = with_field(shop, "gift_note", {"type": "string"})
    faults.plan = ["conflict landed", "503 landed"]

    lake.adopt(wider)

    publish([order(1)])
    LakeWriter(lake, log, Gate(wider)).write_up_to(ends(log))
    assert "gift_note" in lake.table(lake.name(CREATED)).schema().column_names
    assert offsets(lake, Gate(wider)) == [0]


PLANS = st.lists(
    st.sampled_from(["ok", "conflict landed", "cut landed", "conflict lost"]), max_size=12
)


@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(plan=PLANS)
def test_no_answers_of_a_catalog_lose_or_double_an_event(
    tmp_path_factory: pytest.TempPathFactory, shop: Registry, gate: Gate, plan: Answers
) -> None:
    """Law: over any sequence of faults the lake is the log, and the next start finds it so."""
    log = MemoryLog()
    catalog = local_catalog(tmp_path_factory.mktemp("lake"))
    lake = Lake(
        EmbeddedCatalog(catalog),
        LocalFiles(Path(catalog.properties["folder"])),
        shop,
        coverage=Recorded(),
    )
    catalog.faults.plan = plan
    writer = LakeWriter(lake, log, gate)
    for number in range(3):
        log.commit(batch_of(gate, [order(number), cancelled(number)]))
        writer.write_up_to(ends(log))
    compact(lake, lake.name(CREATED), min_files=2)
    expire_snapshots(lake, lake.name(CREATED))

    assert LakeWriter(lake, log, gate).covered == ends(log)
    assert offsets(lake, gate) == list(range(6))
    lake.close()


def local_catalog(folder: Path) -> CheckedLyingCatalog:
    catalog = CheckedLyingCatalog(
        "agentflow",
        uri=f"sqlite:///{folder}/c.sqlite",
        warehouse=(folder / "lake").as_uri(),
        folder=str(folder / "lake"),
    )
    catalog.faults = Faults()
    for namespace in ("events", "agentflow"):
        catalog.create_namespace(namespace)
    return catalog


def ends(log: MemoryLog) -> Positions:
    return Positions(log.end(VALIDATED), log.end(DEAD_LETTERS))


def offsets(lake: Lake, gate: Gate) -> list[int]:
    return [stored.offset for stored in LakeReader(lake, gate).all_events()]
