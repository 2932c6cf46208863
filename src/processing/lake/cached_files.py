"""Files on S3, read through a folder: Iceberg's files never change, so a copy is always right."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any, Final

import pyarrow.fs as pafs

from agentflow.clock import from_datetime
from agentflow.errors import StorageError
from processing.lake.location import TIMEOUT_SECONDS, Location

_CHUNK_BYTES: Final = 1 << 20
CACHE_BYTES: Final = 8 << 30
_SPARED: Final = 64
"""Files used so recently are never dropped: a query may be about to open them."""


class CachedFiles:
    """A read-through copy of what was read, least recently used dropped first.

    DuckDB 2.0 cannot read S3; a local copy keeps its file reader, which skips columns and row
    groups, where Arrow tables would have every column decoded for every query.
    """

    def __init__(self, location: Location, directory: Path, *, limit: int = CACHE_BYTES) -> None:
        self.directory = directory.absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        self._limit = limit
        self._lock = Lock()
        self._files: Any = _file_system(location)  # pyarrow has no types
        self._sizes = self._found()

    def local(self, location: str) -> str:
        """Return the path of a copy of *location*."""
        name = blake2b(location.encode(), digest_size=16).hexdigest() + ".parquet"
        path = self.directory / name
        with self._lock:
            if (size := self._sizes.pop(name, None)) is not None:
                self._sizes[name] = size  # now the most recently used
                return str(path)
        size = self._copy(location, path)
        with self._lock:
            self._sizes[name] = size
            self._drop()
        return str(path)

    def _copy(self, location: str, path: Path) -> int:
        partial = path.with_suffix(f".{os.getpid()}-{id(location):x}.partial")
        try:
            with self._files.open_input_stream(_key(location)) as source, partial.open("wb") as to:
                while chunk := source.read(_CHUNK_BYTES):
                    to.write(chunk)
            partial.rename(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StorageError(
                f'lake file "{location}" cannot be read: {error}',
                hint="See that the S3 endpoint is up; it is tried again.",
            ) from error
        return path.stat().st_size

    def _drop(self) -> None:
        total = sum(self._sizes.values())
        for name in list(self._sizes)[:-_SPARED]:
            if total <= self._limit:
                return
            total -= self._sizes.pop(name)
            (self.directory / name).unlink(missing_ok=True)

    def _found(self) -> dict[str, int]:
        for partial in self.directory.glob("*.partial"):
            partial.unlink(missing_ok=True)
        found = [(path.stat(), path.name) for path in self.directory.glob("*.parquet")]
        return {
            name: stat.st_size for stat, name in sorted(found, key=lambda each: each[0].st_atime)
        }

    def older_than(self, location: str, cutoff_us: int) -> Iterator[str]:
        """Yield the files under *location* last changed before an instant."""
        scheme = location.split("://", 1)[0]
        try:
            selector = pafs.FileSelector(_key(location), recursive=True, allow_not_found=True)
            for file in self._files.get_file_info(selector):
                if file.is_file and file.mtime and from_datetime(file.mtime) < cutoff_us:
                    yield f"{scheme}://{file.path}"
        except OSError as error:
            raise StorageError(f'"{location}" cannot be listed: {error}') from error

    def delete(self, location: str) -> None:
        """Delete a file."""
        try:
            self._files.delete_file(_key(location))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f'"{location}" cannot be deleted: {error}') from error


def _key(location: str) -> str:
    return location.split("://", 1)[-1]


def _file_system(location: Location) -> Any:  # noqa: ANN401 - pyarrow has no types
    return pafs.S3FileSystem(
        endpoint_override=location.endpoint or None,
        access_key=location.access_key or None,
        secret_key=location.secret_key or None,
        region=location.region,
        connect_timeout=5,
        request_timeout=TIMEOUT_SECONDS,
    )
