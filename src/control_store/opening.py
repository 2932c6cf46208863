"""Open the control store, whatever state its file is in."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final, Literal

from agentflow.supervision import Activity
from control_store.sqlite_control import APPLICATION_ID, SCHEMA, SqliteControl
from ingestion.log.faults import DRIVER_ERRORS, damaged, translated
from ingestion.log.schema import definitions

_TABLES: Final = ("idempotency", "triage", "changelog")


@dataclass(frozen=True, slots=True)
class ControlReport:
    """What opening found and did.

    Attributes:
        outcome: `created`, `opened`, or `replaced`: moved aside, readable rows copied.
        kept: Rows copied per table, when replaced.
    """

    outcome: Literal["created", "opened", "replaced"]
    problems: tuple[str, ...] = ()
    quarantined: tuple[Path, ...] = ()
    kept: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class OpenedControl:
    """The store, and what had to be done to open it."""

    store: SqliteControl
    report: ControlReport


def open_control(path: Path, activity: Activity | None = None) -> OpenedControl:
    """Open or create the store at *path*; a damaged file is moved aside, readable rows kept.

    The store tells *activity* from then on whether calls succeed.

    Raises:
        StorageError: The file can neither be opened nor moved aside.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with translated(path):
        problems = _problems(path) if path.exists() else []
        quarantined = _quarantine(path) if problems else ()
        existed = path.exists()
        connection = _create(path)
        if not problems:
            outcome: Literal["created", "opened"] = "opened" if existed else "created"
            store = SqliteControl(path, connection, activity)
            return OpenedControl(store, ControlReport(outcome))
        kept = _copy_readable(quarantined[-1], connection)
    report = ControlReport("replaced", tuple(problems), quarantined, kept)
    return OpenedControl(SqliteControl(path, connection, activity), report)


def _create(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("COMMIT")
    return connection


def _problems(path: Path) -> list[str]:
    """Return what is wrong with the file. It is small, so all of it is checked, every time."""
    if path.stat().st_size == 0:
        return ["the file is empty"]
    try:
        with closing(sqlite3.connect(path, timeout=10)) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
            if found != ["ok"]:
                return found
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                return ["the file is not an AgentFlow control store"]
            with closing(sqlite3.connect(":memory:")) as fresh:
                fresh.executescript(SCHEMA)
                if definitions(fresh) != definitions(connection):
                    return ["the tables are not as they were created"]
            for table in _TABLES:
                connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - constants
    except DRIVER_ERRORS as error:
        if not damaged(error):
            raise
        return [str(error)]
    return []


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


def _copy_readable(source: Path, new: sqlite3.Connection) -> tuple[tuple[str, int], ...]:
    """Copy row by row until the first that cannot be read, table by table."""
    kept = []
    with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as old:
        new.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            copied = 0
            try:
                for row in old.execute(f"SELECT * FROM {table}"):  # noqa: S608 - constants
                    marks = ", ".join("?" * len(row))
                    new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608 - constants
                    copied += 1
            except DRIVER_ERRORS as error:
                if not damaged(error) and not isinstance(error, sqlite3.IntegrityError):
                    raise
            kept.append((table, copied))
        new.execute("COMMIT")
    return tuple(kept)
