"""What taking and restoring a backup need of the place where it is kept."""

from __future__ import annotations

from hashlib import sha256
from typing import IO, Protocol


class Counted:
    """A file that is read once, with how much of it was read and its checksum."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._digest = sha256()
        self.size_bytes = 0

    def read(self, size: int = -1) -> bytes:
        """Read like a file."""
        chunk = self._source.read(size)
        self._digest.update(chunk)
        self.size_bytes += len(chunk)
        return chunk

    @property
    def sha256(self) -> str:
        """The checksum of what was read, in hexadecimal."""
        return self._digest.hexdigest()


class BackupTarget(Protocol):
    """A backup that is being written. Conformance: `tests/processing/backup/test_port.py`."""

    def add(self, name: str, source: Counted, size_bytes: int) -> None:
        """Store a file; *source* gives *size_bytes*."""
        ...

    def finish(self) -> None:
        """Make it durable and give it its name."""
        ...

    def discard(self) -> None:
        """Remove what was written."""
        ...


class BackupSource(Protocol):
    """A backup that is being read. Conformance: `tests/processing/backup/test_port.py`."""

    def open(self, name: str) -> IO[bytes] | None:
        """Open a file; None when it is not there."""
        ...

    def close(self) -> None:
        """Release it."""
        ...
