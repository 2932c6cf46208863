"""Versions of the tables: made new, brought up, brought down, and those a newer AgentFlow made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import update

from agentflow.errors import StorageError
from control_store.changelog.port import ContractChange
from control_store.idempotency.port import Conflict, Done, New
from control_store.migrations.running import scripts
from control_store.schema import VERSION_TABLE, VERSIONS
from control_store.sqlite.opening import open_control
from control_store.triage.port import Triage, TriageStatus

FIRST_VERSION = Path(__file__).with_name("first_version.sqlite")
"""A file as version 0.1.0 left it, before there were migrations."""

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
