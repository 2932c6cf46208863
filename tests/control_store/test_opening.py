"""The control store in SQLite: restarts, damage, a full disk."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from control_store.changelog.port import ContractChange
from control_store.idempotency.port import Done, New
from control_store.sqlite.opening import open_control
from control_store.triage.port import Triage, TriageStatus

SEED = 20_261_121
ANSWER = Done(202, {}, b"{}")


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a store of some hundred rows, written back to the main file."""
    directory = tmp_path_factory.mktemp("healthy")
    opened = open_control(directory / "control.sqlite")
    store = opened.store
    for number in range(60):
        store.triage.decide(Triage(number, TriageStatus.FIXED, "note " * 20, "ada", number))
        store.changelog.publish(
            ContractChange(number, "metric", f"m{number}", 1, "sha256:a", "new " * 20)
        )
        store.idempotency.begin("t", f"k{number}", b"body", now_us=number)
        store.idempotency.finish("t", f"k{number}", ANSWER, now_us=number)
    store.close()
    return directory


@pytest.fixture
def file(healthy: Path, tmp_path: Path) -> Path:
    shutil.copytree(healthy, tmp_path / "copy")
    return tmp_path / "copy" / "control.sqlite"


def test_a_crash_between_effect_and_answer_is_resumed(tmp_path: Path) -> None:
    """The claim is durable, its owner is gone: the same body may go again, another may not."""
    file = tmp_path / "control.sqlite"
    crashed = open_control(file).store
    assert crashed.idempotency.begin("t", "k", b"body", now_us=5) == New()
    crashed.close()

    opened = open_control(file)

    assert opened.report.outcome == "opened"
    assert opened.store.idempotency.begin("t", "k", b"body", now_us=6) == New(resumed=True)
    opened.store.close()


def test_everything_survives_a_restart(file: Path) -> None:
    """Durable means durable."""
    store = open_control(file).store

    assert len(store.changelog.changes(limit=999)) == 60
    assert store.triage.counts() == {TriageStatus.FIXED: 60}
    assert store.idempotency.begin("t", "k7", b"body", now_us=99) == ANSWER
    store.close()


@pytest.mark.parametrize("case", range(40))
def test_a_store_with_flipped_bytes_opens(file: Path, case: int) -> None:
    """Promise 19: opens or is moved aside, and works afterwards."""
    chance = random.Random(SEED + case)
    content = bytearray(file.read_bytes())
    for _ in range(chance.choice([1, 1, 3, 30])):
        content[chance.randrange(len(content))] ^= chance.randrange(1, 256)
    file.write_bytes(content)

    opened = open_control(file)

    store = opened.store
    if opened.report.outcome == "replaced":
        assert opened.report.problems
        assert (file.parent / "control.sqlite.corrupt-1").exists()
    assert len(store.changelog.changes(limit=999)) <= 60
    assert len(store.triage.triage(range(60))) <= 60
    store.idempotency.begin("t", "fresh", b"body", now_us=99)
    store.idempotency.finish("t", "fresh", ANSWER, now_us=99)
    store.triage.decide(Triage(99, TriageStatus.DISCARDED, "", "ada", 99))
    store.close()


@pytest.mark.parametrize("content", [b"", b"x", b"garbage" * 5_000])
def test_garbage_is_moved_aside(tmp_path: Path, content: bytes) -> None:
    """The evidence stays, the store starts empty."""
    file = tmp_path / "control.sqlite"
    file.write_bytes(content)

    opened = open_control(file)

    assert opened.report.outcome == "replaced"
    assert opened.store.changelog.changes() == []
    assert (tmp_path / "control.sqlite.corrupt-1").read_bytes() == content
    opened.store.close()


def test_damage_in_one_table_spares_the_others(file: Path) -> None:
    """Readable rows are copied: the changelog survives a broken triage table."""
    connection = sqlite3.connect(file)
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'triage'"
    ).fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    content = bytearray(file.read_bytes())
    content[(page - 1) * page_bytes : page * page_bytes] = bytes(page_bytes)
    file.write_bytes(content)

    opened = open_control(file)

    assert opened.report.outcome == "replaced"
    kept = {name: count for name, count in opened.report.kept if count or name == "triage"}
    assert kept == {"idempotency": 60, "triage": 0, "changelog": 60}
    opened.store.close()
