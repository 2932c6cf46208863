"""Translate what SQLite raises into `agentflow.errors`; a driver's error goes no further."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from agentflow.errors import StorageCorruptError, StorageError, StorageFullError
from agentflow.wording import quoted

_SYNC_FAILURES = {sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_UNREADABLE = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
# 0: the driver could not decode a text; SQLITE_ERROR: the schema or file format makes no sense.
_SENSELESS = {0, sqlite3.SQLITE_ERROR}


def sync_failed(error: Exception) -> bool:
    """Tell whether `fsync` itself failed: after that it is not known what the disk holds."""
    return getattr(error, "sqlite_errorcode", 0) in _SYNC_FAILURES


DRIVER_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What the driver raises: a message that quotes damaged text can itself be undecodable."""


def damaged(error: Exception) -> bool:
    """Tell whether *error* means the file's content is bad, and not the disk full or the file busy.

    Only these errors may lead to a quarantine: a full disk must never cost a healthy log.
    """
    code = getattr(error, "sqlite_errorcode", 0)
    return code in _UNREADABLE or code & 0xFF in _CORRUPT | _SENSELESS


def storage_error(error: Exception, *, path: object) -> StorageError:
    """Return the deliberate error that stands for *error*, to be raised `from` it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StorageFullError(
            f"no space left for file {quoted(path)}",
            hint="Nothing of this call was stored. Free disk space and send it again.",
        )
    if code in _CORRUPT or isinstance(error, UnicodeDecodeError):
        return StorageCorruptError(
            f"file {quoted(path)} is damaged",
            hint="Restart: the file is checked, moved aside and what is readable is kept.",
        )
    return StorageError(f"file {quoted(path)} failed: {error}")


@contextmanager
def translated(path: object) -> Iterator[None]:
    """Run a block and turn any SQLite error in it into a `StorageError`.

    Raises:
        StorageError: Or one of its kinds, whenever the block raised one of `DRIVER_ERRORS`.
    """
    try:
        yield
    except DRIVER_ERRORS as error:
        raise storage_error(error, path=path) from error
