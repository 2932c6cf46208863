"""Open the control store in its file, whatever state the file is in."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Final

from sqlalchemy import Table

from agentflow.supervision import Activity
from control_store.idempotency.store import Ownership
from control_store.opened import ControlReport, OpenedControl
from control_store.schema import HELD, VERSION, VERSION_TABLE, VERSIONS
from control_store.sqlite import legacy
from control_store.sqlite.database import APPLICATION_ID, BUSY_SECONDS, SqliteDatabase, digest
from control_store.store import ControlStore
from ingestion.log.faults import DRIVER_ERRORS, damaged, translated
from ingestion.log.schema import definitions

_TABLES: Final = tuple(table.name for table in HELD)


def open_control(path: Path, activity: Activity | None = None) -> OpenedControl:
    """Open or create the store at *path*; a damaged file is moved aside, readable rows kept.

    A file of an earlier version is brought to this one. The store tells *activity* from then on
    whether calls succeed. No other process may have the file: what was claimed and not answered
    has no owner any more.

    Raises:
        StorageError: The file can neither be opened nor moved aside, or a newer AgentFlow made it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with translated(path):
        problems = _problems(path) if path.exists() else []
        quarantined = _quarantine(path) if problems else ()
        existed = path.exists()
        database = SqliteDatabase(path, activity)
    try:
        database.bring_to(VERSION)
        store = ControlStore(database, Ownership(secrets.token_hex(8), lease_us=0))
        if not problems:
            return OpenedControl(store, ControlReport("opened" if existed else "created"))
        with translated(path):
            kept = _copy_readable(quarantined[-1], database)
    except BaseException:
        database.close()
        raise
    report = ControlReport("replaced", tuple(problems), quarantined, kept)
    return OpenedControl(store, report)


def _problems(path: Path) -> list[str]:
    """Return what is wrong with the file. It is small, so all of it is checked, every time."""
    if path.stat().st_size == 0:
        return ["the file is empty"]
    try:
        with closing(_reading(path)) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
            if found != ["ok"]:
                return found
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                return ["the file is not an AgentFlow control store"]
            if not _as_created(connection):
                return ["the tables are not as they were created"]
            for table in () if _newer(connection) else _present(connection):
                connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - constants
    except DRIVER_ERRORS as error:
        if not damaged(error):
            raise
        return [str(error)]
    return []


def _reading(path: Path) -> sqlite3.Connection:
    """Open the file to look at it as it is at one instant: another process may bring it up."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
    connection.execute("BEGIN")
    return connection


def _as_created(connection: sqlite3.Connection) -> bool:
    """Tell whether the file defines what its checksum says; the first version had none."""
    expected = connection.execute("PRAGMA user_version").fetchone()[0]
    if expected:
        return bool(expected == digest(connection))
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(legacy.SCHEMA)
        return definitions(fresh) == definitions(connection)


def _present(connection: sqlite3.Connection) -> list[str]:
    """Return our tables that the file has; one of an earlier version lacks those that came later.

    That none of its own is missing, its checksum has told.
    """
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    return [table for table in _TABLES if table in names]


def _newer(connection: sqlite3.Connection) -> bool:
    """Tell whether a newer AgentFlow made the tables: that is not damage."""
    if not connection.execute("PRAGMA user_version").fetchone()[0]:
        return False
    found = connection.execute(f"SELECT version_num FROM {VERSION_TABLE.name}").fetchone()  # noqa: S608 - a constant
    return found is not None and found[0] not in VERSIONS


def _quarantine(path: Path) -> tuple[Path, ...]:
    """Move the file and its side files aside, side files first; return the main file last."""
    aside = next(
        candidate
        for number in count(1)
        if not (candidate := Path(f"{path}.corrupt-{number}")).exists()
    )
    moved = []
    for suffix in ("-wal", "-shm", ""):
        file = Path(f"{path}{suffix}")
        if file.exists():
            moved.append(file.rename(f"{aside}{suffix}"))
    return tuple(moved)


def _copy_readable(source: Path, database: SqliteDatabase) -> tuple[tuple[str, int], ...]:
    """Copy row by row until the first that cannot be read, table by table."""
    kept = []
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as old,
        database.writing(),
    ):
        for table in HELD:
            copied = 0
            try:
                for copied in _copied(old, database.file, table):  # noqa: B007 - the last counts
                    pass
            except DRIVER_ERRORS as error:
                if not damaged(error) and not isinstance(error, sqlite3.IntegrityError):
                    raise
            kept.append((table.name, copied))
    return tuple(kept)


def _copied(old: sqlite3.Connection, new: sqlite3.Connection, table: Table) -> Iterator[int]:
    """Copy the columns that the old table has too; yield how many rows are there."""
    there = {row[1] for row in old.execute(f"PRAGMA table_info({table.name})")}
    columns = [column.name for column in table.columns if column.name in there]
    if not columns:
        return  # an earlier version had no such table
    names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
    copied = 0
    for row in old.execute(f"SELECT {names} FROM {table.name}"):  # noqa: S608 - constants
        into = f"INSERT OR IGNORE INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608 - constants
        copied += new.execute(into, row).rowcount
        yield copied
