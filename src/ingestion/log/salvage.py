"""Copy what is readable of a damaged log into a new file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ingestion.log import schema
from ingestion.log.chunks import CHUNK_RECORDS, Chunk, intact
from ingestion.log.faults import DRIVER_ERRORS, damaged
from ingestion.log.indexing import REMEMBERED
from ingestion.log.port import CHANGES, DEAD_LETTERS, RAW, VALIDATED
from ingestion.log.refill import REFILL
from ingestion.log.topic_names import valid_topic

SKIP: Final = 1 << 20
"""More offsets than a lost tail can have used: the WAL holds fewer records than that."""

TOPICS: Final = (RAW, VALIDATED, DEAD_LETTERS, CHANGES, REMEMBERED)
"""The topics every log has."""

_PROBES: Final = 10_000
_COLUMNS: Final = "first_offset, count, checksum, identities, links, records"


@dataclass(slots=True)
class Salvaged:
    """What was copied: records per topic, and the ranges missing between them."""

    kept: dict[str, int] = field(default_factory=dict)
    lost: dict[str, tuple[range, ...]] = field(default_factory=dict)


def skip_offsets(connection: sqlite3.Connection) -> None:
    """Let every topic go on far behind anything it may have given out; runs in a transaction.

    Notes that records are missing which may exist elsewhere, until they are put back.
    """
    known = [
        schema.topic_end(connection, topic, floor=floor)
        for topic, floor in schema.topics(connection).items()
    ]
    known += [row[0] for row in connection.execute("SELECT next_offset FROM positions")]
    floor = floor_behind(max(known, default=0))
    connection.execute("UPDATE topics SET floor = max(floor, ?)", (floor,))
    connection.execute(
        "INSERT OR REPLACE INTO positions (consumer, topic, next_offset) VALUES (?, ?, 1)",
        (REFILL, VALIDATED),
    )


def floor_behind(offset: int) -> int:
    """Return an offset far behind *offset* and whatever was given out after it and lost."""
    return (offset // SKIP + 2) * SKIP


def copy_readable(source: Path, target: Path, *, new_id: Callable[[], str]) -> Salvaged:
    """Build a complete log at *target* from what can be read of *source*.

    Chunks are copied whole if their checksum holds. The digest indexes are not copied: opening
    rebuilds them from the chunks. Everything is one transaction; the file is on disk at return.
    """
    salvaged = Salvaged()
    with closing(schema.connect(target)) as new, closing(_source(source)) as old:
        new.execute("BEGIN IMMEDIATE")
        names = _names(old)
        schema.create(new, log_id=_log_id(old) or new_id(), topics=names)
        for topic in names:
            _copy_topic(old, new, topic)
        _copy_positions(old, new)
        for topic in names:
            salvaged.kept[topic], salvaged.lost[topic] = _account(new, topic)
        if any(salvaged.kept.values()):
            skip_offsets(new)
        new.execute("COMMIT")
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return salvaged


def _source(path: Path) -> sqlite3.Connection:
    """Open the damaged file, or an empty database when it cannot be one of our logs."""
    with path.open("rb") as file:
        header = file.read(schema.APPLICATION_ID_BYTES.stop)
    ours = header[schema.APPLICATION_ID_BYTES] == schema.APPLICATION_ID.to_bytes(4, "big")
    if not header.startswith(schema.HEADER):
        if not ours:
            return sqlite3.connect(":memory:")
        _restore_header(path)
    return sqlite3.connect(path, isolation_level=None)


def _restore_header(path: Path) -> None:
    """Write the first bytes again: they are the same in every log, and nothing opens without."""
    with path.open("r+b") as file:
        file.write(schema.HEADER)


def _names(old: sqlite3.Connection) -> tuple[str, ...]:
    names = dict.fromkeys(TOPICS)
    rows = _all(old, "SELECT name FROM sqlite_master WHERE name LIKE 'topic#_%' ESCAPE '#'")
    names.update(dict.fromkeys(str(name).removeprefix("topic_") for (name,) in rows))
    return tuple(name for name in names if valid_topic(name))


def _log_id(old: sqlite3.Connection) -> str | None:
    rows = _all(old, "SELECT value FROM meta WHERE name = 'log_id'")
    return str(rows[0][0]) if rows else None


def _copy_positions(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    for row in _all(old, "SELECT consumer, topic, next_offset FROM positions"):
        if isinstance(row[2], int) and row[2] >= 0:
            new.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", row)


def _copy_topic(old: sqlite3.Connection, new: sqlite3.Connection, topic: str) -> None:
    for row in _rows(old, schema.table(topic)):
        chunk = Chunk._make(row)
        if intact(chunk):
            new.execute(
                f"INSERT OR IGNORE INTO {schema.table(topic)} VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - names only
                chunk,
            )


def _rows(old: sqlite3.Connection, table: str) -> Iterator[Sequence[object]]:
    """Yield every row that can be reached: from the front, from the back, then by probing."""
    select = f"SELECT {_COLUMNS} FROM {table}"  # noqa: S608 - table() admits names only
    front, back = -1, -1
    for row in _until_error(old, f"{select} ORDER BY first_offset", ()):
        front = int(str(row[0]))
        yield row
    for row in _until_error(
        old, f"{select} WHERE first_offset > ? ORDER BY first_offset DESC", (front,)
    ):
        back = int(str(row[0]))
        yield row
    step = max(CHUNK_RECORDS, (back - front) // _PROBES)
    for probe in range(front + 1, back, step):
        yield from _all(
            old,
            f"{select} WHERE first_offset BETWEEN ? AND ? ORDER BY first_offset",
            (probe, min(probe + step, back) - 1),
        )


def _until_error(
    old: sqlite3.Connection, sql: str, parameters: tuple[object, ...]
) -> Iterator[Sequence[object]]:
    try:
        yield from old.execute(sql, parameters)
    except DRIVER_ERRORS as error:
        if not damaged(error):
            raise


def _all(
    old: sqlite3.Connection, sql: str, parameters: tuple[object, ...] = ()
) -> list[Sequence[object]]:
    return list(_until_error(old, sql, parameters))


def _account(new: sqlite3.Connection, topic: str) -> tuple[int, tuple[range, ...]]:
    kept, expected = 0, 0
    lost: list[range] = []
    spans: Iterable[tuple[int, int]] = new.execute(
        f"SELECT first_offset, count FROM {schema.table(topic)} ORDER BY first_offset"  # noqa: S608 - names only
    )
    for first, count in spans:
        if first > expected:
            lost.append(range(expected, first))
        kept += count
        expected = first + count
    return kept, tuple(lost)
