"""One process per data directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agentflow.errors import DataDirectoryLockedError
from agentflow.wording import quoted

LOCK_FILE: Final = "LOCK"


class DataDirectoryLock:
    """An advisory lock (`flock`) on `LOCK` in a data directory; a context manager.

    The kernel drops it when the process ends, however it ends. The file stays: removing it would
    let two processes lock two different files of one name.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK_FILE
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock at once and write our pid into the file.

        Raises:
            DataDirectoryLockedError: Another process, or another lock in this one, holds it.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise DataDirectoryLockedError(
                f"data directory {quoted(self._path.parent)} is in use by process {holder}",
                hint=f"Stop process {holder}, or choose another directory with --data-dir.",
            ) from error
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; releasing twice is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
