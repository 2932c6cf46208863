"""Read a SQLite log from any thread or process, beside its one writer."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from agentflow.errors import StorageCorruptError
from agentflow.wording import quoted
from ingestion.log import schema
from ingestion.log.chunks import Chunk, decode_chunk, decode_records
from ingestion.log.faults import translated
from ingestion.log.port import Record

_COLUMNS = "first_offset, count, checksum, identities, links, records"


class LogReader:
    """The reading half of a bus over a file that another process may be writing.

    Order: by offset. Visibility: what was committed when the call began. Thread-safety: any thread;
    each call borrows a read-only connection of its own, so readers never wait for the writer.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[sqlite3.Connection] = deque()
        self._topics: frozenset[str] = frozenset()
        with self.connection() as connection:
            row = connection.execute("SELECT value FROM meta WHERE name = 'log_id'").fetchone()
        if row is None:
            raise StorageCorruptError(
                f"file {quoted(path)} has no log id", hint="Restart the platform."
            )
        self.log_id: str = row[0]

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Lend a read-only connection.

        Raises:
            StorageError: Whenever SQLite cannot read.
        """
        with translated(self._path):
            connection = self._idle.pop() if self._idle else schema.connect_reader(self._path)
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)

    def read(self, topic: str, *, start: int, limit: int) -> Sequence[Record]:
        """Return up to *limit* records at or after *start* in offset order; empty at the end.

        Raises:
            StorageCorruptError: A chunk on the way is not what was written.
        """
        records: list[Record] = []
        with self.connection() as connection:
            if not self._knows(connection, topic):
                return records
            rows = self._rows(connection, topic, start)
            while len(records) < limit and (row := rows.fetchone()):
                chunk = Chunk._make(row)
                part = decode_chunk(topic, chunk)
                skip = max(0, start - chunk.first)
                records += part[skip : skip + limit - len(records)]
            rows.close()
        return records

    def _rows(self, connection: sqlite3.Connection, topic: str, start: int) -> sqlite3.Cursor:
        table = schema.table(topic)
        return connection.execute(
            f"""
            SELECT {_COLUMNS} FROM {table}
            WHERE first_offset >= coalesce(
              (SELECT max(first_offset) FROM {table} WHERE first_offset <= ?), 0)
            ORDER BY first_offset
            """,  # noqa: S608 - table() admits names only
            (start,),
        )

    def read_offsets(self, topic: str, offsets: Iterable[int]) -> Sequence[Record]:
        """Return the records at *offsets*, in offset order, without those that do not exist.

        Raises:
            StorageCorruptError: A chunk on the way is not what was written.
        """
        records: list[Record] = []
        with self.connection() as connection:
            if not self._knows(connection, topic):
                return records
            found = self._located(connection, topic, sorted(set(offsets)))
            for chunk, group in groupby(found, key=lambda pair: pair[0]):
                records += decode_records(topic, chunk, [offset for _, offset in group])
        return records

    def _located(
        self, connection: sqlite3.Connection, topic: str, offsets: Sequence[int]
    ) -> Iterator[tuple[Chunk, int]]:
        sql = (
            f"SELECT {_COLUMNS} FROM {schema.table(topic)} "  # noqa: S608 - names only
            "WHERE first_offset <= ? ORDER BY first_offset DESC LIMIT 1"
        )
        chunk: Chunk | None = None
        for offset in offsets:
            if chunk is None or offset >= chunk.first + chunk.size:
                row = connection.execute(sql, (offset,)).fetchone()
                chunk = Chunk._make(row) if row else None
            if chunk is not None and offset < chunk.first + chunk.size:
                yield chunk, offset

    def end(self, topic: str) -> int:
        """Return the offset after the last record; 0 for a topic without records."""
        with self.connection() as connection:
            floor = schema.topics(connection).get(topic)
            return 0 if floor is None else schema.topic_end(connection, topic, floor=floor)

    def position(self, consumer: str, topic: str) -> int:
        """Return the next offset *consumer* has to read; 0 when it never stored one."""
        with self.connection() as connection:
            row = connection.execute(
                "SELECT next_offset FROM positions WHERE consumer = ? AND topic = ?",
                (consumer, topic),
            ).fetchone()
        return int(row[0]) if row else 0

    def positions(self, consumers: Sequence[str]) -> dict[tuple[str, str], int]:
        """Return every position stored under these names, by (consumer, topic)."""
        marks = ", ".join("?" for _ in consumers)
        with self.connection() as connection:
            rows = connection.execute(
                f"SELECT consumer, topic, next_offset FROM positions WHERE consumer IN ({marks})",  # noqa: S608 - question marks only
                tuple(consumers),
            ).fetchall()
        return {(consumer, topic): offset for consumer, topic, offset in rows}

    def _knows(self, connection: sqlite3.Connection, topic: str) -> bool:
        if topic not in self._topics:
            self._topics = frozenset(schema.topics(connection))
        return topic in self._topics

    def close(self) -> None:
        """Close the idle connections; borrowed ones close when they come back broken."""
        while self._idle:
            self._idle.pop().close()
