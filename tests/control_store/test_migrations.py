"""Versions of the tables: made new, brought up, brought down, and those a newer AgentFlow made."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, update

from agentflow.errors import StorageError
from control_store.changelog.port import ContractChange
from control_store.idempotency.port import Conflict, Done, New
from control_store.metadata import TABLES
from control_store.migrations.running import scripts
from control_store.postgres.opening import open_postgres
from control_store.schema import HELD, VERSION_TABLE, VERSIONS, version_of
from control_store.sqlite.opening import open_control
from control_store.store import ControlStore
from control_store.triage.port import Triage, TriageStatus
from tests.control_store.conftest import ON_POSTGRES, Opened

FIRST_VERSION = Path(__file__).with_name("first_version.sqlite")
"""A file as version 0.1.0 left it, before there were migrations."""

CHANGE = ContractChange(1, "metric", "revenue", 1, "sha256:a", "added")
ANSWER = Done(202, {"content-type": "application/json"}, b'{"token":"\xff"}')


def test_every_version_has_a_script() -> None:
    """The list says which are known without a script being read."""
    found = [script.revision for script in scripts().walk_revisions()]

    assert found[::-1] == list(VERSIONS)


def test_a_store_of_the_first_version_is_taken_over_with_all_it_holds(tmp_path: Path) -> None:
    """An upgrade is a restart: nothing was answered, decided or published for nothing."""
    file = Path(shutil.copy(FIRST_VERSION, tmp_path / "control.sqlite"))

    opened = open_control(file)

    store = opened.store
    assert opened.report.outcome == "opened"
    assert [
        store.idempotency.begin("acme", f"answered-{number}", b"body", now_us=9_000)
        for number in range(3)
    ] == [ANSWER] * 3
    assert store.idempotency.begin("acme", "cut-off", b"other", now_us=9_000) == Conflict()
    assert store.idempotency.begin("acme", "cut-off", b"body", now_us=9_000) == New(resumed=True)
    assert store.triage.triage(range(9)) == {
        number: Triage(
            number,
            status,
            f"note {number} \\ ü",
            "ada",
            4_000 + number,
            replayed_as=70 + number if status == "replayed" else None,
            fixed_value=None if status == "open" else b"{\x00}",
        )
        for number, status in enumerate(TriageStatus)
    }
    assert store.changelog.changes() == [
        (n + 1, ContractChange(5_000 + n, "metric", "revenue", n + 1, f"sha256:{n}", "added"))
        for n in range(3)
    ]
    store.close()
    assert open_control(file).report.outcome == "opened"
    assert [path.name for path in tmp_path.glob("*corrupt*")] == []


def filled(opened: Opened) -> ControlStore:
    """Return a store with something in every table."""
    store = opened()
    store.idempotency.begin("acme", "answered", b"body", now_us=1)
    store.idempotency.finish("acme", "answered", ANSWER, now_us=2)
    store.idempotency.begin("acme", "cut-off", b"body", now_us=3)
    store.triage.decide(Triage(7, TriageStatus.FIXED, "note", "ada", 4, None, b"{}"))
    store.changelog.publish(CHANGE)
    return store


def require_filled(store: ControlStore) -> None:
    """Check that everything is there still."""
    assert store.triage.triage([7]) == {
        7: Triage(7, TriageStatus.FIXED, "note", "ada", 4, None, b"{}")
    }
    assert store.changelog.changes() == [(1, CHANGE)]
    assert store.idempotency.begin("acme", "answered", b"body", now_us=5) == ANSWER
    late = 40_000_000
    assert store.idempotency.begin("acme", "cut-off", b"other", now_us=late) == Conflict()
    assert store.idempotency.begin("acme", "cut-off", b"body", now_us=late) == New(resumed=True)


def columns(store: ControlStore) -> set[str]:
    with store.database.reading() as connection:
        return {column["name"] for column in inspect(connection).get_columns("idempotency")}


def test_every_version_goes_down_and_up_again_with_what_it_holds(opened: Opened) -> None:
    """Each step on data that the version before it left."""
    store = filled(opened)

    for version in (*VERSIONS[-2::-1], *VERSIONS[1:]):
        store.database.bring_to(version)
        with store.database.reading() as connection:
            assert version_of(connection) == version
        assert ("owner" in columns(store)) == (version > "0001")
    store.close()

    again = opened()
    require_filled(again)
    again.close()


def test_tables_made_new_and_tables_brought_up_are_the_same(opened: Opened) -> None:
    """New stores are made without Alembic: both ways must end at one place."""
    store = opened()
    made = differences(store)
    with store.database.writing() as connection:
        TABLES.drop_all(connection)
    for version in VERSIONS:
        store.database.bring_to(version)

    assert (made, differences(store)) == ([], [])
    store.close()


def differences(store: ControlStore) -> list[object]:
    with store.database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, TABLES)
        tables = inspect(connection)
        constraints = {
            name: sorted(str(each["sqltext"]) for each in tables.get_check_constraints(name))
            for name in ("idempotency", "triage", "api_keys")
        }
        keys = [tables.get_pk_constraint(table.name)["constrained_columns"] for table in HELD]
    assert [len(each) for each in constraints.values()][1:] == [1, 1]
    assert keys == [["tenant", "key"], ["offset"], ["sequence"], ["number"], ["digest"]]
    return [each for each in found if "alembic_version" not in str(each)]


DYING = """
import os, signal, sys
from sqlalchemy import Engine, event
if sys.argv[2] == "die":
    @event.listens_for(Engine, "after_cursor_execute")
    def die(connection, cursor, statement, *_):
        if "ADD COLUMN" in statement:
            os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1].startswith("postgresql"):
    from control_store.postgres.opening import open_postgres
    store = open_postgres(sys.argv[1])
    store.require()
else:
    from pathlib import Path
    from control_store.sqlite.opening import open_control
    store = open_control(Path(sys.argv[1])).store
print(len(store.changelog.changes()))
store.close()
"""


@pytest.fixture(params=["sqlite", ON_POSTGRES])
def of_first_version(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Opened]:
    """Where a filled store of the first version is, and what opens it."""
    file = tmp_path / "control.sqlite"
    where = str(file) if request.param == "sqlite" else request.getfixturevalue("database")

    def opened() -> ControlStore:
        if request.param == "sqlite":
            return open_control(file).store
        return open_postgres(where)

    store = filled(opened)
    store.database.bring_to("0001")
    store.close()
    return where, opened


def started(where: str, how: str) -> subprocess.Popen[str]:
    """Start a process that opens the store."""
    argv = [sys.executable, "-c", DYING, where, how]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_migration_that_dies_half_way_is_done_by_the_next(
    of_first_version: tuple[str, Opened],
) -> None:
    """Killed after a step and before the next: nothing of it was kept."""
    where, opened = of_first_version

    dying = started(where, "die")
    dying.communicate(timeout=280)
    store = opened()

    assert dying.returncode == -signal.SIGKILL
    assert "owner" in columns(store)
    require_filled(store)
    store.close()


def test_processes_that_migrate_at_once_all_go_on(of_first_version: tuple[str, Opened]) -> None:
    """One does it, the others wait for it and find it done."""
    where, opened = of_first_version

    processes = [started(where, "live") for _ in range(2)]
    said = [process.communicate(timeout=280) for process in processes]
    store = opened()

    codes = [process.returncode for process in processes]
    assert ([out.strip() for out, _ in said], codes) == (["1"] * 2, [0] * 2), said
    require_filled(store)
    store.close()


def test_tables_that_a_newer_agentflow_made_are_left_alone(opened: Opened) -> None:
    """Going back to an older version must not cost what the newer one wrote."""
    store = filled(opened)
    with store.database.writing() as connection:
        connection.execute(update(VERSION_TABLE).values(version_num="9999"))
    store.close()

    with pytest.raises(StorageError, match="has version 9999, this AgentFlow knows it up to"):
        opened()


def test_a_store_that_a_newer_agentflow_made_is_left_alone(tmp_path: Path) -> None:
    """Going back to an older version must not cost what the newer one wrote."""
    file = tmp_path / "control.sqlite"
    store = open_control(file).store
    with store.database.writing() as connection:
        connection.execute(update(VERSION_TABLE).values(version_num="9999"))
    store.close()
    before = file.read_bytes()

    with pytest.raises(StorageError, match="has version 9999, this AgentFlow knows it up to"):
        open_control(file)

    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.glob("*corrupt*")] == []
