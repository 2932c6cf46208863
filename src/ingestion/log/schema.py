"""The tables of the SQLite log and how its connections are set up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

from ingestion.log.chunks import Chunk
from ingestion.log.topic_names import checked_topic

APPLICATION_ID: Final = 0x41464C47
"""Written into the file header: `AFLG`. A file without it is not ours."""

APPLICATION_ID_BYTES: Final = slice(68, 72)
HEADER: Final = b"SQLite format 3\0\x20\x00\x02\x02\x00\x40\x20\x20"
"""How every log begins: magic, page size, WAL versions, fixed fractions."""

PAGE_BYTES: Final = 8192
CHECKPOINT_PAGES: Final = 1000
"""About 8 MB: larger is not faster, and makes the commit that pays for it slower (ADR 0004)."""

SERIES: Final = 4_096
"""How many numbers the temporary table `series` of every connection holds."""

_CACHE_KIB: Final = 16_384

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topics (
  topic TEXT PRIMARY KEY,
  floor INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (
  consumer TEXT NOT NULL,
  topic TEXT NOT NULL,
  next_offset INTEGER NOT NULL,
  PRIMARY KEY (consumer, topic)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS merged (
  digest_index TEXT NOT NULL,
  slice INTEGER NOT NULL,
  upto INTEGER NOT NULL,
  PRIMARY KEY (digest_index, slice)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS identity_entries (
  digest BLOB NOT NULL,
  offset INTEGER NOT NULL,
  PRIMARY KEY (digest, offset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS link_entries (
  digest BLOB NOT NULL,
  offset INTEGER NOT NULL,
  PRIMARY KEY (digest, offset)
) WITHOUT ROWID;
"""
"""`topics.floor` is the least offset the topic may give next; it moves only when a salvage skips
ahead, so that an offset that was lost is never given twice."""


def table(topic: str) -> str:
    """Return the table of *topic*; the only place where a name becomes SQL.

    Raises:
        ParameterError: The name is not lower case letters, digits and underscores.
    """
    return f"topic_{checked_topic(topic)}"


def create(connection: sqlite3.Connection, *, log_id: str, topics: Iterable[str]) -> None:
    """Create all tables and name the log; runs in the caller's transaction."""
    for statement in SCHEMA.split(";\n"):
        connection.execute(statement)
    connection.execute("INSERT INTO meta (name, value) VALUES ('log_id', ?)", (log_id,))
    for topic in topics:
        create_topic(connection, topic)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def differences(connection: sqlite3.Connection) -> list[str]:
    """Name the tables that are not as `create` makes them: a flipped bit can rename a column."""
    if connection.execute("SELECT 1 FROM meta WHERE name = 'log_id'").fetchone() is None:
        return ["log_id"]
    with closing(sqlite3.connect(":memory:")) as fresh:
        create(fresh, log_id="", topics=topics(connection))
        return sorted({name for name, _ in definitions(fresh) ^ definitions(connection)})


def definitions(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Return the name and SQL of everything the database defines."""
    return set(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def create_topic(connection: sqlite3.Connection, topic: str) -> None:
    """Create the table of *topic* unless it exists.

    `records` comes last: reading the digests of a million rows must not touch their records.
    """
    connection.execute(
        f"""
        CREATE TABLE IF NOT EXISTS {table(topic)} (
          first_offset INTEGER PRIMARY KEY,
          count INTEGER NOT NULL,
          checksum INTEGER NOT NULL,
          identities BLOB NOT NULL,
          links BLOB NOT NULL,
          records BLOB NOT NULL
        )
        """
    )
    connection.execute("INSERT OR IGNORE INTO topics (topic, floor) VALUES (?, 0)", (topic,))


def topics(connection: sqlite3.Connection) -> dict[str, int]:
    """Return every topic with its floor."""
    return dict(connection.execute("SELECT topic, floor FROM topics"))


def topic_end(connection: sqlite3.Connection, topic: str, *, floor: int) -> int:
    """Return the offset after the topic's last record, or *floor* when that is higher."""
    row = connection.execute(
        f"SELECT first_offset + count FROM {table(topic)} ORDER BY first_offset DESC LIMIT 1"  # noqa: S608 - table() admits names only
    ).fetchone()
    return max(floor, row[0] if row else 0)


def insert_chunk(connection: sqlite3.Connection, topic: str, chunk: Chunk) -> None:
    """Append one row to the topic's table."""
    connection.execute(f"INSERT INTO {table(topic)} VALUES (?, ?, ?, ?, ?, ?)", chunk)  # noqa: S608 - table() admits names only


def connect(path: Path, *, synchronous: str = "FULL") -> sqlite3.Connection:
    """Open a connection that writes: WAL, an fsync per commit, transactions begun by hand.

    `secure_delete` is off (Debian compiles it in): the log deletes nothing secret and it doubles
    the pages that a merge of the index writes.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("PRAGMA secure_delete = OFF")
        _create_series(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that can only read; it sees the last commit at each statement."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=10,
    )
    _create_series(connection)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _create_series(connection: sqlite3.Connection) -> None:
    """Make the numbers 0, 1, 2 … for taking one long parameter apart inside one statement."""
    connection.execute("CREATE TEMP TABLE series (i INTEGER PRIMARY KEY)")
    connection.execute(
        """
        WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < ?)
        INSERT INTO series SELECT i FROM numbers
        """,
        (SERIES - 1,),
    )
