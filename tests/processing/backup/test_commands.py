"""`agentflow backup` and `agentflow restore`, as a person types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from agentflow_cli import main
from control_store.sqlite.opening import open_control
from ingestion.log.opening import open_log


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    open_log(tmp_path / "data" / "log.sqlite").log.close()
    open_control(tmp_path / "data" / "control.sqlite").store.close()
    return tmp_path / "data"


def run(*arguments: object, **settings: str) -> Result:
    environment = {f"AGENTFLOW_{name.upper()}": value for name, value in settings.items()}
    return CliRunner().invoke(main, [str(each) for each in arguments], env=environment)


def test_a_backup_and_its_restore_say_what_they_did(tmp_path: Path, data_dir: Path) -> None:
    """With the instant and the counts that tell one backup from another."""
    saved = run("backup", tmp_path / "kept.tar", "--data-dir", data_dir)
    restored = run("restore", tmp_path / "kept.tar", "--data-dir", tmp_path / "new")

    assert (saved.exit_code, restored.exit_code) == (0, 0)
    assert f"{data_dir} is saved at {tmp_path / 'kept.tar'}: 2 files" in saved.stderr
    assert "log: 0 events, 0 dead letters" in saved.stderr
    assert f"is restored to {tmp_path / 'new'}" in restored.stderr


def test_what_is_kept_elsewhere_is_said_to_be_left_out(tmp_path: Path, data_dir: Path) -> None:
    """With Kafka and a catalog, the directory is the smaller half of what there is."""
    saved = run(
        "backup",
        tmp_path / "kept",
        "--json",
        data_dir=str(data_dir),
        bus="kafka",
        lake_catalog="http://127.0.0.1:8181",
        lake_warehouse="s3://lake/shop",
    )

    assert json.loads(saved.stdout)["leaves_out"] == [
        "events: they are in Kafka, in the topics agentflow.*",
        "the lake: its tables are at s3://lake/shop",
    ]


def test_a_failure_is_one_line_with_a_hint_and_its_exit_code(
    tmp_path: Path, data_dir: Path
) -> None:
    """No stack; what would have worked."""
    failed = run("restore", tmp_path / "kept.tar", "--data-dir", data_dir)
    (tmp_path / "kept.tar").write_bytes(b"not a tar")
    cut = run("restore", tmp_path / "kept.tar", "--data-dir", tmp_path / "new")

    assert failed.exit_code == cut.exit_code == 3
    assert failed.stderr.startswith(f'error: backup "{tmp_path / "kept.tar"}" does not exist')
    assert "is not a backup: it does not begin like one" in cut.stderr
    assert "hint: Name a file that `agentflow backup` wrote" in cut.stderr
