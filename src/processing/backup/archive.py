"""Where a backup is kept: a folder, or one tar file when its name ends with `.tar`."""

from __future__ import annotations

import errno
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from agentflow.errors import StorageCorruptError, StorageError, StorageFullError
from agentflow.wording import quoted
from processing.backup.manifest import MANIFEST_BYTES, MANIFEST_FILE
from processing.backup.port import BackupSource, BackupTarget, Counted

_CHUNK_BYTES: Final = 1 << 20
_OTHER_ARCHIVES: Final = frozenset({".7z", ".bz2", ".gz", ".tgz", ".xz", ".zip", ".zst"})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def target_at(path: Path) -> BackupTarget:
    """Begin a backup at *path*, which does not exist or is an empty folder.

    Raises:
        StorageError: Something is there.
    """
    if path.is_dir() and not any(path.iterdir()):
        return _Folder(path)
    if path.exists() or path.is_symlink():
        raise StorageError(f"{quoted(path)} exists already", hint="Name a new file or folder.")
    if path.suffix.lower() in _OTHER_ARCHIVES:
        raise StorageError(
            f"a backup called {quoted(path.name)} would be a folder",
            hint="Let the name of a file end with .tar, and compress it afterwards.",
        )
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    return _Tar(path) if path.suffix == ".tar" else _Folder(path)


@contextmanager
def source_at(path: Path) -> Iterator[BackupSource]:
    """Open the backup at *path*.

    Raises:
        StorageError: There is none.
        StorageCorruptError: The file is not a whole tar file.
    """
    if not path.exists():
        raise StorageError(f"backup {quoted(path)} does not exist")
    source: BackupSource = _FolderSource(path) if path.is_dir() else _opened_tar(path)
    try:
        yield source
    finally:
        source.close()


def manifest_text(source: BackupSource, path: Path) -> bytes:
    """Return the manifest of a backup.

    Raises:
        StorageCorruptError: It has none: it was cut off while it was made, or is something else.
    """
    file = source.open(MANIFEST_FILE)
    if file is None:
        raise StorageCorruptError(
            f"{quoted(path)} has no {MANIFEST_FILE}: it is a backup that was cut off, "
            "or something else",
            hint="Name what `agentflow backup` made, or take another backup.",
        )
    with file:
        text = file.read(MANIFEST_BYTES + 1)
    if len(text) > MANIFEST_BYTES:
        raise StorageCorruptError(
            f"{quoted(path)}: {MANIFEST_FILE} is longer than {MANIFEST_BYTES} bytes",
            hint="Name what `agentflow backup` made.",
        )
    return text


@contextmanager
def room_told(path: Path) -> Iterator[None]:
    """Name the place when its disk is full or refuses something.

    Raises:
        StorageFullError: The disk is full.
        StorageError: A file can be neither read nor written.
    """
    try:
        yield
    except (OSError, StorageFullError) as error:
        if isinstance(error, StorageFullError) or error.errno in _FULL:
            raise StorageFullError(
                f"no space left for {quoted(path)}; what was written of it is removed",
                hint="Free space there, or name a place on another disk.",
            ) from error
        raise StorageError(f"{quoted(path)} cannot be made: {error}") from error


def partial(path: Path) -> Path:
    """Return the place beside *path* where it is prepared."""
    path = path.absolute()
    return path.with_name(f"{path.name}.partial-{os.getpid()}")


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, source: Counted) -> None:
    """Write a file and wait until the disk has it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("xb") as to:
        while chunk := source.read(_CHUNK_BYTES):
            to.write(chunk)
        to.flush()
        os.fsync(to.fileno())


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path, self._partial = path.absolute(), partial(path)
        self._partial.mkdir(mode=0o700)

    def add(self, name: str, source: Counted, size_bytes: int) -> None:
        del size_bytes
        write_durably(self._partial / name, source)

    def finish(self) -> None:
        for folder in {path.parent for path in self._partial.rglob("*")} | {self._partial}:
            sync_folder(folder)
        self._partial.rename(self._path)  # an empty folder gives way
        sync_folder(self._path.parent)

    def discard(self) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)


class _Tar:
    def __init__(self, path: Path) -> None:
        self._path, self._partial = path.absolute(), partial(path)
        self._file = self._partial.open("xb")
        self._tar = tarfile.open(fileobj=self._file, mode="w")  # noqa: SIM115 - `finish` closes it

    def add(self, name: str, source: Counted, size_bytes: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = size_bytes, 0o600
        self._tar.addfile(member, source)

    def finish(self) -> None:
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.rename(self._path)
        sync_folder(self._path.parent)

    def discard(self) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)


class _FolderSource:
    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, name: str) -> IO[bytes] | None:
        path = self._path / name
        return path.open("rb") if path.is_file() else None

    def close(self) -> None:
        """Nothing is open."""


class _TarSource:
    def __init__(self, tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> None:
        self._tar, self._members = tar, members

    def open(self, name: str) -> IO[bytes] | None:
        member = self._members.get(name)
        return None if member is None else self._tar.extractfile(member) or io.BytesIO()

    def close(self) -> None:
        self._tar.close()


def _opened_tar(path: Path) -> _TarSource:
    members: dict[str, tarfile.TarInfo] = {}
    try:
        tar = tarfile.open(path, "r:")  # noqa: SIM115 - its owner closes it
    except (tarfile.TarError, EOFError) as error:
        raise StorageCorruptError(
            f"{quoted(path)} is not a backup: it does not begin like one",
            hint="Name a file that `agentflow backup` wrote: a tar archive, not compressed.",
        ) from error
    last = "its beginning"
    try:
        for member in tar:
            last = f"{quoted(member.name)}"
            if member.isreg():
                members[member.name] = member
    except (tarfile.TarError, EOFError) as error:
        tar.close()
        raise StorageCorruptError(
            f"{quoted(path)} is not a whole backup: it ends or is damaged after {last}, "
            f"and has {path.stat().st_size:,} bytes",
            hint="It was cut off; compare its size with the original.",
        ) from error
    return _TarSource(tar, members)
