"""Restore a backup to a data directory that is new: all of it, checked, or nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import structlog

from agentflow.errors import StorageCorruptError, StorageError, StorageFullError
from agentflow.wording import quoted
from control_store.elsewhere import ControlElsewhere
from control_store.wiring import CONTROL_FILE
from ingestion.log.lock import LOCK_FILE, DataDirectoryLock
from ingestion.log.private import keep_private
from processing.backup.archive import (
    manifest_text,
    partial,
    room_told,
    source_at,
    sync_folder,
    write_durably,
)
from processing.backup.manifest import Manifest, SavedFile, parsed
from processing.backup.port import BackupSource, Counted
from processing.backup.taking import Progress

log = structlog.get_logger()


def restore_backup(
    backup: Path,
    data_dir: Path,
    *,
    control: ControlElsewhere | None = None,
    progress: Progress = lambda _what, _fraction: None,
) -> Manifest:
    """Make *data_dir* what the directory was of which *backup* was taken.

    Every file is compared with its checksum on the way. The directory appears when all are there.
    With a *control* store elsewhere, what the backup has for it is put there.

    Raises:
        DataDirectoryLockedError: A platform runs on *data_dir*.
        StorageFullError: There is not enough space; nothing is left of it.
        StorageError: *data_dir* or the control store is not empty, or the backup is of another
            version.
        UnavailableError: The control store does not answer.
        StorageCorruptError: The backup is not whole, or not what was saved.
    """
    with source_at(backup) as source:
        manifest = parsed(manifest_text(source, backup), str(backup))
        _require_empty(data_dir)
        keep_private()
        prepared = partial(data_dir)
        with room_told(data_dir):
            prepared.parent.mkdir(parents=True, exist_ok=True)
            _require_space(prepared.parent, manifest, data_dir)
            prepared.mkdir(mode=0o700)
            try:
                _copy(source, manifest, prepared, progress, backup)
                if control is not None and (prepared / CONTROL_FILE).exists():
                    progress("control store", 1)
                    control.load(prepared / CONTROL_FILE)
                    (prepared / CONTROL_FILE).unlink()
                _put(prepared, data_dir)
            except BaseException:
                shutil.rmtree(prepared, ignore_errors=True)
                raise
    log.info("backup.restored", directory=str(data_dir), files=len(manifest.files))
    return manifest


def _copy(
    source: BackupSource, manifest: Manifest, to: Path, progress: Progress, backup: Path
) -> None:
    done = 0
    for file in manifest.files:
        progress(file.name, done / max(manifest.size_bytes, 1))
        _copy_one(source, file, to / file.name, backup)
        done += file.size_bytes
    for folder in {path.parent for path in to.rglob("*")} | {to}:
        sync_folder(folder)


def _copy_one(source: BackupSource, file: SavedFile, to: Path, backup: Path) -> None:
    content = source.open(file.name)
    if content is None:
        raise _not_whole(backup, f"file {quoted(file.name)} is gone")
    with content:
        counted = Counted(content)
        write_durably(to, counted)
    if counted.size_bytes != file.size_bytes:
        what = f"has {counted.size_bytes} bytes instead of {file.size_bytes}"
        raise _not_whole(backup, f"file {quoted(file.name)} {what}")
    if counted.sha256 != file.sha256:
        raise _not_whole(
            backup, f"file {quoted(file.name)} is not what was saved: its checksum differs"
        )


def _not_whole(backup: Path, what: str) -> StorageCorruptError:
    return StorageCorruptError(
        f"backup {quoted(backup)}: {what}",
        hint="Nothing was restored. Copy the backup again from where it was made, or take another.",
    )


def _require_empty(data_dir: Path) -> None:
    if not data_dir.exists() and not data_dir.is_symlink():
        return
    if not data_dir.is_dir():
        raise StorageError(
            f"{quoted(data_dir)} is a file", hint="Name a new directory: --data-dir."
        )
    if (data_dir / LOCK_FILE).exists():
        with DataDirectoryLock(data_dir):
            pass
    if any(entry.name != LOCK_FILE for entry in data_dir.iterdir()):
        raise StorageError(
            f"directory {quoted(data_dir)} is not empty",
            hint="Name a new directory with --data-dir, or move this one aside.",
        )


def _require_space(parent: Path, manifest: Manifest, data_dir: Path) -> None:
    free = shutil.disk_usage(parent).free
    if free < manifest.size_bytes:
        raise StorageFullError(
            f"{quoted(data_dir)} needs {manifest.size_bytes:,} bytes, its disk has {free:,}"
        )


def _put(prepared: Path, data_dir: Path) -> None:
    (data_dir / LOCK_FILE).unlink(missing_ok=True)
    prepared.rename(data_dir)  # an empty directory gives way
    sync_folder(data_dir.absolute().parent)
