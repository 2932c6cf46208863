"""A data directory belongs to one user: folders 0700, files 0600, old ones too."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agentflow.clock import ManualClock
from agentflow.contracts import Registry
from agentflow.events import EventRef
from agentflow.lint import load
from ingestion.log.private import make_private
from processing.platform import Platform
from processing.wiring import open_platform


@pytest.fixture(autouse=True)
def _same_mask() -> Iterator[None]:
    mask = os.umask(0o022)
    yield
    os.umask(mask)


def modes(directory: Path) -> set[tuple[bool, int]]:
    paths = [directory, *directory.rglob("*")]
    return {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in paths}


PRIVATE = {(True, 0o700), (False, 0o600)}


def test_everything_a_platform_makes_is_private(tmp_path: Path) -> None:
    """The log, the lake with its data files, the control store, the catalog, the lock."""
    contracts = load("contracts").events
    registry = Registry.of([contracts[EventRef("order.created", 1)]])

    platform = open_platform(tmp_path / "data", registry, clock=ManualClock())
    asyncio.run(opened_and_closed(platform))

    assert modes(tmp_path / "data") == PRIVATE


async def opened_and_closed(platform: Platform) -> None:
    await platform.start()
    await platform.close()


def test_a_directory_of_an_earlier_version_is_closed_when_it_opens(tmp_path: Path) -> None:
    """Files were 0644 in it, for everybody on the machine."""
    (tmp_path / "data/lake/events").mkdir(parents=True)
    for name in ("LOCK", "log.sqlite", "log.sqlite-wal", "lake/events/a.parquet", "live.snapshot"):
        (tmp_path / "data" / name).write_bytes(b"")
    assert modes(tmp_path / "data") == {(True, 0o755), (False, 0o644)}

    make_private(tmp_path / "data")

    assert modes(tmp_path / "data") == PRIVATE


def test_a_directory_shared_with_other_things_is_not_taken_away_but_said(tmp_path: Path) -> None:
    """`AGENTFLOW_DATA_DIR=/tmp` must not close /tmp; the platform's own files are closed there."""
    (tmp_path / "of-another").write_bytes(b"")
    (tmp_path / "log.sqlite").write_bytes(b"")
    tmp_path.chmod(0o755)

    with capture_logs() as logs:
        make_private(tmp_path)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "of-another").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "log.sqlite").stat().st_mode) == 0o600
    assert [each["event"] for each in logs] == ["data_directory.open_to_others"]
