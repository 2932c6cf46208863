"""A backup taken while events arrive restores elsewhere with equal numbers, or is refused."""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import sqlite3
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from agentflow.clock import ManualClock
from agentflow.contracts import Registry
from agentflow.errors import (
    DataDirectoryLockedError,
    StorageCorruptError,
    StorageError,
    StorageFullError,
)
from agentflow.events import RawEvent
from agentflow.lint import load
from ingestion.log.lock import DataDirectoryLock
from ingestion.log.port import VALIDATED
from processing.backup import Manifest, restore_backup, take_backup
from processing.backup.archive import target_at
from processing.backup.databases import copy_database
from processing.platform import Platform
from processing.wiring import open_platform
from tests.processing.lake.conftest import NOW_US, order

CLOCK = ManualClock(NOW_US)


@pytest.fixture(scope="module")
def shop() -> Registry:
    registry = load("contracts")
    events = [event for event in registry.events.values() if event.name.startswith("order.")]
    metrics = [
        each for each in registry.metrics.values() if each.name in ("order_count", "revenue")
    ]
    return Registry.of([*events, *(each for each in metrics if each.version == 1)])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, shop: Registry) -> tuple[Path, Manifest]:
    """A backup in a folder, of a platform that had 30 events and took more meanwhile."""
    place = tmp_path_factory.mktemp("first machine")

    async def run() -> Manifest:
        platform = open_platform(
            place / "data", shop, clock=CLOCK, lake_interval=timedelta(milliseconds=50)
        )
        await platform.start()
        await send(platform, range(30))
        await platform.save_snapshot()
        await asyncio.to_thread(platform.parts.lake.flush, platform._ends(), timeout=MINUTE)  # noqa: SLF001
        sending = asyncio.create_task(send_until_cancelled(platform))
        manifest = await asyncio.to_thread(
            take_backup, place / "data", place / "kept", clock=CLOCK, leaves_out=("the moon",)
        )
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await platform.close()
        return manifest

    manifest = asyncio.run(run())
    shutil.rmtree(place / "data")
    return place / "kept", manifest


MINUTE = timedelta(minutes=1)


async def send(platform: Platform, numbers: range) -> None:
    raws = [
        RawEvent(json.dumps(order(number)).encode(), "acme", NOW_US + number) for number in numbers
    ]
    results = await platform.ingest(raws)
    assert all(result.status == "accepted" for result in results)


async def send_until_cancelled(platform: Platform) -> None:
    number = 1_000
    while True:
        await send(platform, range(number, number + 1))
        number += 1
        await asyncio.sleep(0)


def numbers(data_dir: Path, registry: Registry) -> tuple[int, str]:
    """Start a platform, prove its numbers by the lake; return its log's end and the numbers."""

    async def run() -> tuple[int, str]:
        platform = open_platform(data_dir, registry, clock=CLOCK)
        await platform.start()
        try:
            assert not platform.health.recoveries
            checks = await platform.verification.verify()
            assert sum(check.numbers for check in checks) > 0
            assert [check.differences for check in checks if not check.equal] == []
            cuts = [check.cut for check in checks]
            live = [f"{cut.plan.id} {cut.window} {cut.cells}" for cut in cuts]
            return platform.parts.log.end(VALIDATED), "\n".join(live)
        finally:
            await platform.close()

    return asyncio.run(run())


def test_a_backup_taken_while_events_arrive_restores_with_equal_numbers(
    tmp_path: Path, saved: tuple[Path, Manifest], shop: Registry
) -> None:
    """Log, lake and live state are of one instant, on a path the first machine did not have."""
    kept, manifest = saved

    restored = restore_backup(kept, tmp_path / "elsewhere" / "data")

    assert restored == manifest
    assert manifest.log is not None
    assert manifest.lake is not None
    assert 30 <= manifest.lake.validated <= manifest.log.validated
    events, _ = numbers(tmp_path / "elsewhere" / "data", shop)
    assert events == manifest.log.validated


def test_a_stopped_data_directory_that_was_copied_has_equal_numbers(
    tmp_path: Path, saved: tuple[Path, Manifest], shop: Registry
) -> None:
    """The lake is the copy's own: the original may be gone, or be there and go on."""
    restore_backup(saved[0], tmp_path / "data")
    before = numbers(tmp_path / "data", shop)

    shutil.copytree(tmp_path / "data", tmp_path / "a copy" / "of it")
    (tmp_path / "data").rename(tmp_path / "moved")

    assert numbers(tmp_path / "a copy" / "of it", shop) == before
    assert numbers(tmp_path / "moved", shop) == before


def test_a_backup_in_one_file_is_the_same(
    tmp_path: Path, saved: tuple[Path, Manifest], shop: Registry
) -> None:
    """Taken of a platform that is stopped, too: its data directory is not changed by that."""
    restore_backup(saved[0], tmp_path / "data")
    before = contents(tmp_path / "data")

    manifest = take_backup(tmp_path / "data", tmp_path / "kept.tar", clock=CLOCK)
    restore_backup(tmp_path / "kept.tar", tmp_path / "again")

    assert contents(tmp_path / "data").items() >= before.items()
    assert manifest.log == saved[1].log
    assert numbers(tmp_path / "data", shop)[0] == manifest.log.validated
    assert numbers(tmp_path / "again", shop)[0] == manifest.log.validated
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "data", "kept.tar"]
    assert stat.S_IMODE((tmp_path / "kept.tar").stat().st_mode) == 0o600
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "again").rglob("*")}
    assert modes == {0o700, 0o600}


def test_a_file_that_the_sweep_takes_first_is_no_problem(
    tmp_path: Path, saved: tuple[Path, Manifest]
) -> None:
    """The catalog moves on with it, so a newer one is taken, and what was copied is kept."""
    data = tmp_path / "data"
    restore_backup(saved[0], data)
    (gone, *_) = sorted((data / "lake" / "events").rglob("*.parquet"))
    aside, asked = tmp_path / "aside", []
    gone.rename(aside)

    def back_again(what: str, fraction: float) -> None:
        asked.append((what, fraction))
        if (what, fraction) == ("lake", 0.0) and asked.count(("lake", 0.0)) == 2:
            aside.rename(gone)

    manifest = take_backup(data, tmp_path / "kept", clock=CLOCK, progress=back_again)

    assert asked.count(("lake", 0.0)) == 2
    assert {file.name for file in manifest.files} == {file.name for file in saved[1].files}
    restore_backup(tmp_path / "kept", tmp_path / "again")


Damage = Callable[[Path], None]


def cut_short(backup: Path) -> None:
    with (backup / "log.sqlite").open("r+b") as file:
        file.truncate(4_096)


def one_bit(backup: Path) -> None:
    content = bytearray((backup / "log.sqlite").read_bytes())
    content[5_000] ^= 1
    (backup / "log.sqlite").write_bytes(content)


def without_a_file(backup: Path) -> None:
    (backup / "lake" / "catalog.sqlite").unlink()


def without_a_manifest(backup: Path) -> None:
    (backup / "manifest.json").unlink()


def of_a_later_format(backup: Path) -> None:
    changed(backup, format=2, version="9.1")


def that_leads_outside(backup: Path) -> None:
    entry = {"name": "../outside", "size_bytes": 0, "sha256": "0" * 64}
    changed(backup, files=[entry])


def changed(backup: Path, **values: object) -> None:
    path = backup / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | values))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_short, 'file "log.sqlite" has 4096 bytes instead of'),
        (one_bit, 'file "log.sqlite" is not what was saved: its checksum differs'),
        (without_a_file, 'file "lake/catalog.sqlite" is gone'),
        (without_a_manifest, "has no manifest.json: it is a backup that was cut off"),
        (of_a_later_format, "has format 2, this version reads 1"),
        (that_leads_outside, "is not a path inside the backup"),
    ],
)
def test_a_backup_that_is_not_whole_restores_nothing(
    tmp_path: Path, saved: tuple[Path, Manifest], damage: Damage, message: str
) -> None:
    """A directory that looks like data, and is not all of it, would be the worst answer."""
    shutil.copytree(saved[0], tmp_path / "kept")
    damage(tmp_path / "kept")

    with pytest.raises(StorageError, match=message):
        restore_backup(tmp_path / "kept", tmp_path / "data")

    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_tar_that_was_cut_off_is_refused(tmp_path: Path, saved: tuple[Path, Manifest]) -> None:
    """At any byte: the manifest is the last thing in it."""
    restore_backup(saved[0], tmp_path / "data")
    take_backup(tmp_path / "data", tmp_path / "kept.tar", clock=CLOCK)
    size = (tmp_path / "kept.tar").stat().st_size
    with tarfile.open(tmp_path / "kept.tar") as tar:
        starts = [member.offset for member in tar.getmembers()]

    for cut in (0, 100, starts[1], starts[-1] - 7, starts[-1] + 600, size // 2):
        with (tmp_path / "kept.tar").open("rb") as whole:
            (tmp_path / "cut.tar").write_bytes(whole.read(cut))
        with pytest.raises(StorageCorruptError):
            restore_backup(tmp_path / "cut.tar", tmp_path / "again")

    assert not (tmp_path / "again").exists()


def test_only_a_new_or_empty_directory_is_restored_to(
    tmp_path: Path, saved: tuple[Path, Manifest]
) -> None:
    """What is there may be the only copy of something; what runs there must not be taken away."""
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "log.sqlite").touch()
    (tmp_path / "empty").mkdir()

    with pytest.raises(StorageError, match=r'directory ".*used" is not empty'):
        restore_backup(saved[0], tmp_path / "used")
    with (
        DataDirectoryLock(tmp_path / "empty"),
        pytest.raises(DataDirectoryLockedError, match="is in use by process"),
    ):
        restore_backup(saved[0], tmp_path / "empty")
    restore_backup(saved[0], tmp_path / "empty")

    assert (tmp_path / "empty" / "log.sqlite").exists()


def test_a_backup_goes_to_a_new_place_outside_of_the_data(
    tmp_path: Path, saved: tuple[Path, Manifest]
) -> None:
    """An older backup must not become half of a newer one."""
    restore_backup(saved[0], tmp_path / "data")
    (tmp_path / "old.tar").touch()

    for target, message in (
        (tmp_path / "old.tar", "exists already"),
        (saved[0], "exists already"),
        (tmp_path / "data" / "kept", "would be part of the data directory"),
    ):
        with pytest.raises(StorageError, match=message):
            take_backup(tmp_path / "data", target, clock=CLOCK)
    with pytest.raises(StorageError, match="holds no data of a platform"):
        take_backup(tmp_path / "nothing", tmp_path / "kept", clock=CLOCK)


@contextmanager
def files_up_to(size_bytes: int) -> Iterator[None]:
    """Let no file grow further, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing_of_a_backup_or_a_restore(
    tmp_path: Path, saved: tuple[Path, Manifest]
) -> None:
    """Half of either would be found one day and taken for the whole."""
    restore_backup(saved[0], tmp_path / "data")

    for name in ("kept", "kept.tar"):
        with files_up_to(10_000), pytest.raises(StorageError, match="or its copy"):
            take_backup(tmp_path / "data", tmp_path / name, clock=CLOCK)
    with files_up_to(10_000), pytest.raises(StorageFullError, match="no space left"):
        restore_backup(saved[0], tmp_path / "again")

    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("name", ["kept.zip", "kept.tar.gz", "kept.TGZ"])
def test_a_name_that_promises_another_kind_of_file_is_refused(tmp_path: Path, name: str) -> None:
    """It would become a folder of that name."""
    with pytest.raises(StorageError, match="would be a folder"):
        target_at(tmp_path / name)


def test_a_database_is_copied_as_it_was_although_it_is_written_to(tmp_path: Path) -> None:
    """A copy in steps would begin again at every commit of another process, and never end."""
    path = tmp_path / "log.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE rows (value BLOB)")
        writer.execute("PRAGMA synchronous = OFF")
        writer.execute("BEGIN")
        writer.executemany("INSERT INTO rows VALUES (?)", [(bytes(4_096),)] * 6_000)
        writer.execute("COMMIT")
        steps = []

        def write(fraction: float) -> None:
            steps.append(fraction)
            writer.execute("INSERT INTO rows VALUES ('late')")

        copy_database(path, tmp_path / "copy.sqlite", write)

        with closing(sqlite3.connect(tmp_path / "copy.sqlite")) as copy:
            assert copy.execute("SELECT count(*) FROM rows").fetchone() == (6_000,)
        assert len(steps) == len(set(steps)) > 1
        assert writer.execute("SELECT count(*) FROM rows").fetchone() == (6_000 + len(steps),)


def contents(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
