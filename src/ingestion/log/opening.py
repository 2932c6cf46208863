"""Open the SQLite log, whatever state its file is in."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingestion.log import schema
from ingestion.log.chunks import CHUNK_RECORDS, DIGEST_BYTES
from ingestion.log.digests import ENTRY_BYTES, SLICES, DigestIndex
from ingestion.log.faults import translated
from ingestion.log.port import CHANGES, DEAD_LETTERS, RAW, VALIDATED
from ingestion.log.recovery import OpenReport, recover
from ingestion.log.sqlite_log import STAGED_IDENTITIES, STAGED_LINKS, SqliteLog

FULL_CHECK_BYTES: Final = 256 << 20
"""Above this size only the tail of the log is verified when it opens."""

_REBUILD_ENTRIES: Final = 500_000


@dataclass(frozen=True, slots=True)
class Opened:
    """The log, and what had to be done to open it."""

    log: SqliteLog
    report: OpenReport


def random_id() -> str:
    """Return a new log id: 64 random bits in hexadecimal."""
    return secrets.token_hex(8)


def open_log(
    path: Path,
    *,
    new_id: Callable[[], str] = random_id,
    max_bytes: int | None = None,
    full_check_bytes: int = FULL_CHECK_BYTES,
    staged_identities: int = STAGED_IDENTITIES,
    staged_links: int = STAGED_LINKS,
) -> Opened:
    """Open or create the log at *path*; a damaged file is moved aside and salvaged first.

    Hold a `DataDirectoryLock`: two writers of one log would not see each other's identities.

    Args:
        path: The main file; SQLite keeps `-wal` and `-shm` beside it.
        new_id: Makes the id of a new log.
        max_bytes: Refuse to grow beyond this size, with `StorageFullError`, as a full disk would.
        full_check_bytes: Larger files are checked at their tail only.
        staged_identities: Most digests to keep in memory before they are merged to disk.
        staged_links: The same for links.

    Raises:
        StorageError: The file can neither be opened nor moved aside.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with translated(path):
        report = recover(path, new_id=new_id, full_check_bytes=full_check_bytes)
        connection = schema.connect(path)
        _prepare(connection, new_id=new_id)
        identities = DigestIndex("identities", "identity_entries", staged_limit=staged_identities)
        links = DigestIndex("links", "link_entries", staged_limit=staged_links)
        _load(connection, identities, column="identities")
        _load(connection, links, column="links")
        if max_bytes is not None:
            connection.execute(f"PRAGMA max_page_count = {max_bytes // schema.PAGE_BYTES}")
    return Opened(SqliteLog(path, connection, identities=identities, links=links), report)


def _prepare(connection: sqlite3.Connection, *, new_id: Callable[[], str]) -> None:
    row = connection.execute("PRAGMA application_id").fetchone()
    if row[0] == schema.APPLICATION_ID:
        return
    connection.execute("BEGIN IMMEDIATE")
    schema.create(connection, log_id=new_id(), topics=(RAW, VALIDATED, DEAD_LETTERS, CHANGES))
    connection.execute("COMMIT")


def _load(connection: sqlite3.Connection, index: DigestIndex, *, column: str) -> None:
    """Stage what no merge covers; when that is a lot (a salvage), merge it on the way."""
    markers = index.resume(connection)
    unpack = _identities if column == "identities" else _links
    rows = connection.execute(
        f"SELECT first_offset, count, {column} FROM {schema.table(VALIDATED)} "  # noqa: S608 - constants
        "WHERE first_offset > ? ORDER BY first_offset",
        (min(markers) - CHUNK_RECORDS,),
    )
    for first, count, packed in rows.fetchall():
        index.stage(
            (digest, offset)
            for digest, offset in unpack(first, packed)
            if offset >= markers[digest[0]]
        )
        if len(index) > _REBUILD_ENTRIES:
            connection.execute("BEGIN IMMEDIATE")
            index.merge_all(connection, upto=first + count)
            connection.execute("COMMIT")
            index.merged()
            markers = [first + count] * SLICES


def _identities(first: int, packed: bytes) -> Iterable[tuple[bytes, int]]:
    starts = range(0, len(packed), DIGEST_BYTES)
    digests = (packed[start : start + DIGEST_BYTES] for start in starts)
    return ((digest, offset) for offset, digest in enumerate(digests, first))


def _links(first: int, packed: bytes) -> Iterator[tuple[bytes, int]]:  # noqa: ARG001 - one shape
    for start in range(0, len(packed), ENTRY_BYTES):
        middle = start + DIGEST_BYTES
        offset = int.from_bytes(packed[middle : start + ENTRY_BYTES], "big")
        yield packed[start:middle], offset
