"""A control store seen from outside: whether it answers, and the version of its tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from control_store.schema import FIRST, VERSION, VERSION_TABLE, require_known
from ingestion.log.faults import translated


def examined_file(path: Path) -> str:
    """Say how the file is; nothing is changed, and a platform may run on it.

    Raises:
        StorageError: It cannot be read, or a newer AgentFlow made it.
    """
    if not path.exists():
        return f"{path.name} in the data directory does not exist yet; `agentflow up` makes it"
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with translated(path), closing(sqlite3.connect(uri, uri=True, timeout=5)) as file:
        migrated = file.execute("PRAGMA user_version").fetchone()[0]
        select = f"SELECT version_num FROM {VERSION_TABLE.name}"  # noqa: S608 - a constant
        version = file.execute(select).fetchone()[0] if migrated else FIRST
    return f"{path.name} in the data directory, {_stands(version)}"


def examined_postgres(url: str, seconds: float) -> str:
    """Say how the database is; nothing is changed.

    Raises:
        ParameterError: The URL is not one of PostgreSQL.
        UnavailableError: It does not answer.
        StorageError: It cannot be read, or a newer AgentFlow made its tables.
    """
    from control_store.postgres.address import address_of
    from control_store.postgres.database import Limits, PostgresDatabase

    address = address_of(url)
    with closing(PostgresDatabase(address, None, Limits(seconds, connections=1))) as database:
        version = database.found()
    if version is None:
        return f"PostgreSQL at {address.place} answers; `agentflow up` makes the tables"
    return f"PostgreSQL at {address.place}, {_stands(version)}"


def _stands(version: str) -> str:
    require_known(version)
    if version == VERSION:
        return f"tables of version {version}"
    return f"tables of version {version}; the next start brings them to {VERSION}"
