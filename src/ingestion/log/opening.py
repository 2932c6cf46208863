"""Open the SQLite log, whatever state its file is in."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from ingestion.log import schema
from ingestion.log.digests import DigestIndex
from ingestion.log.faults import translated
from ingestion.log.indexing import IDENTITIES, LINKS, load, repair
from ingestion.log.recovery import OpenReport, recover
from ingestion.log.salvage import TOPICS
from ingestion.log.sqlite_log import STAGED_IDENTITIES, STAGED_LINKS, SqliteLog

Synchronous = Literal["FULL", "NORMAL"]
FULL_CHECK_BYTES: Final = 256 << 20
"""Above this size only the tail of the log is verified when it opens."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The log, and what had to be done to open it."""

    log: SqliteLog
    report: OpenReport


def random_id() -> str:
    """Return a new log id: 64 random bits in hexadecimal."""
    return secrets.token_hex(8)


def open_log(  # noqa: PLR0913 - each bounds another thing
    path: Path,
    *,
    new_id: Callable[[], str] = random_id,
    max_bytes: int | None = None,
    full_check_bytes: int = FULL_CHECK_BYTES,
    staged_identities: int = STAGED_IDENTITIES,
    staged_links: int = STAGED_LINKS,
    synchronous: Synchronous = "FULL",
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
        synchronous: `NORMAL` saves the fsync of each commit, for a replica: after a power cut it
            goes on from an earlier commit, and what is behind that is fetched again.

    Raises:
        StorageError: The file can neither be opened nor moved aside.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with translated(path):
        report = recover(path, new_id=new_id, full_check_bytes=full_check_bytes)
        connection = schema.connect(path, synchronous=synchronous)
        _prepare(connection, new_id=new_id)
        identities = DigestIndex(IDENTITIES, "identity_entries", staged_limit=staged_identities)
        links = DigestIndex(LINKS, "link_entries", staged_limit=staged_links)
        full = path.stat().st_size <= full_check_bytes
        repaired = [
            index.name for index in (identities, links) if full and repair(connection, index)
        ]
        for index in (identities, links):
            load(connection, index)
        if max_bytes is not None:
            connection.execute(f"PRAGMA max_page_count = {max_bytes // schema.PAGE_BYTES}")
    log = SqliteLog(path, connection, identities=identities, links=links)
    return Opened(log, _with_repairs(report, repaired))


def _with_repairs(report: OpenReport, repaired: list[str]) -> OpenReport:
    """Note rebuilt indexes. Nothing is lost by that: an index holds what the chunks hold."""
    problems = tuple(f"the index of {name} was wrong and is rebuilt" for name in repaired)
    return replace(report, problems=report.problems + problems)


def _prepare(connection: sqlite3.Connection, *, new_id: Callable[[], str]) -> None:
    row = connection.execute("PRAGMA application_id").fetchone()
    if row[0] == schema.APPLICATION_ID:
        return
    connection.execute("BEGIN IMMEDIATE")
    schema.create(connection, log_id=new_id(), topics=TOPICS)
    connection.execute("COMMIT")
