"""The conformance suite of `BackupTarget` and `BackupSource`: a folder, and one tar file."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from processing.backup.archive import source_at, target_at
from processing.backup.port import BackupTarget, Counted

FILES = {"log.sqlite": b"log" * 90_000, "lake/events/a.parquet": b"\0a", "lake/empty": b""}


@pytest.fixture(params=["kept", "kept.tar"])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Where each implementation keeps a backup."""
    place: Path = tmp_path / request.param
    return place


def fill(target: BackupTarget) -> dict[str, Counted]:
    counted = {name: Counted(io.BytesIO(content)) for name, content in FILES.items()}
    for name, source in counted.items():
        target.add(name, source, len(FILES[name]))
    return counted


def test_what_was_added_is_read_back(place: Path) -> None:
    """Byte for byte, in any order, as often as wanted; what was not added is not there."""
    target = target_at(place)
    written = fill(target)
    target.finish()

    with source_at(place) as source:
        for name in [*reversed(FILES), *FILES]:
            file = source.open(name)
            assert file is not None
            with file:
                read = Counted(file)
                assert read.read() == FILES[name]
            assert (read.sha256, read.size_bytes) == (
                written[name].sha256,
                written[name].size_bytes,
            )
        assert source.open("lake/none") is None
        assert source.open("lake") is None


def test_a_backup_has_its_name_only_when_it_is_whole(place: Path) -> None:
    """A process that dies leaves nothing that looks like a backup."""
    target = target_at(place)
    fill(target)

    before = place.exists()
    target.finish()

    assert not before
    assert place.exists()


def test_what_is_discarded_leaves_nothing(place: Path) -> None:
    """The next attempt has the disk to itself."""
    target = target_at(place)
    fill(target)

    target.discard()

    assert list(place.parent.iterdir()) == []
