"""The tables of all concerns and their version: made new here, made from older ones by Alembic."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Connection, String, Table, delete, insert, inspect, select

from agentflow.errors import StorageError
from control_store.changelog.tables import changelog
from control_store.idempotency.tables import idempotency
from control_store.keys.tables import api_key_digests, api_keys
from control_store.metadata import TABLES
from control_store.triage.tables import triage

VERSIONS: Final = ("0001", "0002", "0003")
"""Every version there was, the first first; each has a script in `migrations/versions`."""

VERSION: Final = VERSIONS[-1]
FIRST: Final = VERSIONS[0]

HELD: Final = (idempotency, triage, changelog, api_keys, api_key_digests)
"""Every table with something in it that would be missed, in an order in which it can be filled."""

VERSION_TABLE: Final = Table(
    "alembic_version", TABLES, Column("version_num", String(32), primary_key=True)
)
"""Alembic's own: it names the version of the tables."""


def version_of(connection: Connection) -> str | None:
    """Return the version of the tables; None when there are none.

    Raises:
        StorageError: A newer AgentFlow made them.
    """
    present = set(inspect(connection).get_table_names())
    if VERSION_TABLE.name not in present:
        return FIRST if idempotency.name in present else None
    version = connection.execute(select(VERSION_TABLE.c.version_num)).scalar_one_or_none()
    if version is not None:
        require_known(version)
    return version


def require_known(version: str) -> None:
    """Refuse tables that this AgentFlow does not know.

    Raises:
        StorageError: A newer AgentFlow made them.
    """
    if version not in VERSIONS:
        raise StorageError(
            f"the control store has version {version}, this AgentFlow knows it up to {VERSION}",
            hint="Start the newer AgentFlow that made it, or name another store.",
        )


def bring(connection: Connection, version: str) -> str | None:
    """Bring the tables to *version*; return the version that was there before.

    All of it is one transaction, the caller's, which keeps other processes out.

    Raises:
        StorageError: A newer AgentFlow made them.
    """
    before = version_of(connection)
    if before is None and version == VERSION:
        TABLES.create_all(connection)
        stamp(connection, VERSION)
    elif before != version:
        from control_store.migrations.running import migrate  # only when one is due: 0.3 s

        migrate(connection, version)
    return before


def stamp(connection: Connection, version: str) -> None:
    """Write down which version the tables have."""
    VERSION_TABLE.create(connection, checkfirst=True)
    connection.execute(delete(VERSION_TABLE))
    connection.execute(insert(VERSION_TABLE), {"version_num": version})
