"""What `agentflow doctor` says of the control store, without touching it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from sqlalchemy import update

from agentflow.settings import Settings
from agentflow_cli import main
from agentflow_cli.checks import Finding
from agentflow_cli.control_check import examine_control
from control_store.postgres.opening import open_postgres
from control_store.schema import VERSION_TABLE
from stack.services.postgres import Postgres
from tests.control_store.test_migrations import FIRST_VERSION


def found(data_dir: Path, url: str = "") -> Finding:
    """Return what doctor finds of the control store."""
    (control,) = examine_control(Settings(control_url=SecretStr(url)), data_dir)
    assert "tops3cret" not in str(control)
    return control


def test_doctor_looks_at_it(tmp_path: Path) -> None:
    """Among everything else that it looks at."""
    said = CliRunner().invoke(main, ["doctor", "--json", "--data-dir", str(tmp_path)])

    assert "control" in {each["name"] for each in json.loads(said.stdout)}


def test_a_file_is_looked_at_and_left_as_it_is(tmp_path: Path) -> None:
    """Before an upgrade, too: the version it has is said, and the one it will have."""
    missing = found(tmp_path)
    file = Path(shutil.copy(FIRST_VERSION, tmp_path / "control.sqlite"))
    before = file.read_bytes()

    old = found(tmp_path)

    assert (missing.status, "does not exist yet" in missing.detail) == ("ok", True)
    assert "version 0001; the next start brings them to" in old.detail
    assert file.read_bytes() == before


@pytest.mark.xdist_group("postgres")
def test_a_database_is_asked_and_left_as_it_is(
    postgres: Postgres, database: str, tmp_path: Path
) -> None:
    """Away, empty, in use, newer, and an address that is none; the password is never shown."""
    elsewhere = f"postgresql://user:tops3cret@127.0.0.1:{postgres.port() + 1}/control"
    away = found(tmp_path, elsewhere)
    wrong = found(tmp_path, "mysql://user:tops3cret@127.0.0.1/control")
    empty = found(tmp_path, database)
    still_empty = found(tmp_path, database)
    store = open_postgres(database)
    used = found(tmp_path, database)
    with store.database.writing() as connection:
        connection.execute(update(VERSION_TABLE).values(version_num="9999"))
    newer = found(tmp_path, database)
    store.close()

    assert [each.status for each in (away, wrong, empty, still_empty, used, newer)] == [
        *("problem", "problem", "ok", "ok", "ok", "problem"),
    ]
    assert "does not answer" in away.detail
    assert "percent-encoded" in wrong.fix
    assert "`agentflow up` makes the tables" in still_empty.detail
    assert "tables of version" in used.detail
    assert "has version 9999" in newer.detail
