"""A full disk degrades the log and loses nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentflow.errors import DataDirectoryLockedError, StorageFullError
from ingestion.log.lock import DataDirectoryLock
from ingestion.log.opening import Opened, open_log
from ingestion.log.port import RAW, VALIDATED, CommitLog

if TYPE_CHECKING:
    from tests.ingestion.log.conftest import Make


def _fill(log: CommitLog, make: Make) -> list[int]:
    """Commit until the disk is full; return the numbers that were acknowledged."""
    acknowledged = []
    for number in range(10_000):
        try:
            log.commit(make.batch(make.accept(number, number, value=b"x" * 20_000)))
        except StorageFullError:
            return acknowledged
        acknowledged.append(number)
    pytest.fail("the disk never filled")


def test_a_log_at_its_size_limit_keeps_what_it_acknowledged(
    reopen: Callable[..., Opened], make: Make
) -> None:
    """Nothing of the refused batch is stored; the next one works once there is room."""
    log = reopen(max_bytes=1 << 20).log

    acknowledged = _fill(log, make)

    assert acknowledged
    assert log.end(VALIDATED) == log.end(RAW) == len(acknowledged)
    assert len(log.read(VALIDATED, start=0, limit=10**6)) == len(acknowledged)
    log = reopen().log
    assert log.commit(make.accepts(len(acknowledged))).validated.start == len(acknowledged)
    assert log.find_identity(make.digest(0)) == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB; mounting it takes root."""
    directory = tmp_path / "small"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.fail("mounting a tmpfs is not allowed here: run the tests as root", pytrace=False)
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def test_a_full_disk_refuses_and_goes_on_when_space_is_freed(small_disk: Path, make: Make) -> None:
    """Promise 6, in the same process: no restart is needed."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(10 << 20))
    log = open_log(small_disk / "log.sqlite").log

    acknowledged = _fill(log, make)
    ballast.unlink()
    committed = log.commit(make.accepts(0, "after"))

    assert acknowledged
    assert log.end(VALIDATED) == len(acknowledged) + 1
    assert [type(outcome).__name__ for outcome in committed.outcomes] == ["Duplicate", "Stored"]
    log.close()
    opened = open_log(small_disk / "log.sqlite")
    assert opened.report.outcome == "opened"
    assert opened.log.end(VALIDATED) == len(acknowledged) + 1
    opened.log.close()


def test_a_data_directory_belongs_to_one_process(tmp_path: Path) -> None:
    """Two writers would not see each other's identities."""
    with (
        DataDirectoryLock(tmp_path),
        pytest.raises(DataDirectoryLockedError, match=f"process {os.getpid()}") as refused,
    ):
        DataDirectoryLock(tmp_path).acquire()

    assert "--data-dir" in str(refused.value.hint)
    with DataDirectoryLock(tmp_path):
        pass
