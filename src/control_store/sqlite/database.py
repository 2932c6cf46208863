"""One SQLite file behind the statements: WAL, `synchronous=FULL`, calls take turns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final
from zlib import crc32

from sqlalchemy import Connection, Insert, StaticPool, Table, Update, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

from agentflow.supervision import Activity
from control_store.database import Database, Prepared, Upsert
from control_store.schema import bring
from ingestion.log.faults import DRIVER_ERRORS, storage_error
from ingestion.log.schema import definitions

BUSY_SECONDS: Final = 10
APPLICATION_ID: Final = 0x41464354
"""Written into the file header: `AFCT`."""


class SqliteDatabase(Database):
    """A `Database` in one file; calls take turns on one connection, each is a few rows.

    Delivery: durable when a call returns (`synchronous=FULL`).

    Attributes:
        file: The driver's own connection.
    """

    def __init__(self, path: Path, activity: Activity | None) -> None:
        """Open or create the file.

        Raises:
            sqlite3.Error: It cannot be opened.
        """
        super().__init__(activity)
        self._path = path
        self._turn = Lock()
        self._begin = "BEGIN"
        self.file = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
        )
        self.file.execute("PRAGMA journal_mode = WAL")
        self.file.execute("PRAGMA synchronous = FULL")
        self._engine = create_engine(
            "sqlite://", creator=lambda: self.file, poolclass=StaticPool, hide_parameters=True
        )
        event.listen(self._engine, "begin", lambda _: self.file.execute(self._begin))
        self._connection = self._engine.connect()

    @contextmanager
    def _connected(self, *, write: bool) -> Iterator[Connection]:
        with self._turn:
            self._begin = "BEGIN IMMEDIATE" if write else "BEGIN"
            try:
                with self._connection.begin():
                    yield self._connection
            except DBAPIError as error:
                cause = error.orig if isinstance(error.orig, DRIVER_ERRORS) else error
                raise storage_error(cause, path=self._path) from error
            except DRIVER_ERRORS as error:
                raise storage_error(error, path=self._path) from error

    def bring_to(self, version: str) -> None:
        """Bring the tables to a version, and write down a checksum of what they are then."""
        with self.writing() as connection:
            if bring(connection, version) != version:
                self.file.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self.file.execute(f"PRAGMA user_version = {digest(self.file)}")

    def insert(self, table: Table) -> Upsert:
        """Begin an INSERT in the words of SQLite."""
        return sqlite.insert(table)

    def prepared(self, statement: Insert | Update) -> Prepared:
        """Return what executes *statement*, past SQLAlchemy: that took twice as long (ADR 0025)."""
        compiled = statement.compile(dialect=self._engine.dialect)
        sql, names = str(compiled), list(compiled.positiontup or ())

        def execute(_: Connection, values: Mapping[str, object]) -> int:
            return self.file.execute(sql, [values[name] for name in names]).rowcount

        return execute

    def _take(self, connection: Connection, table: Table) -> None:
        """Nothing to do: `BEGIN IMMEDIATE` has kept every other writer out."""

    def check(self) -> None:
        """Nothing to ask: the file is ours, and a call tells what is wrong with the disk."""

    def close(self) -> None:
        """Release the file; further calls fail."""
        with self._turn:
            self._connection.close()
            self._engine.dispose()
            self.file.close()


def digest(connection: sqlite3.Connection) -> int:
    """Return a checksum of what the file defines: positive, and never that of a new file, 0."""
    return crc32(repr(sorted(definitions(connection))).encode()) >> 1 or 1
