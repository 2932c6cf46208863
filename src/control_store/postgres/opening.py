"""Open the control store in PostgreSQL, whether it answers or not."""

from __future__ import annotations

import secrets
from typing import Final

from agentflow.supervision import Activity
from control_store.idempotency.store import Ownership
from control_store.postgres.address import address_of
from control_store.postgres.database import Limits, PostgresDatabase
from control_store.store import ControlStore

LEASE_US: Final = 30_000_000
"""So long an unanswered claim of another process counts; a request is answered before."""


def open_postgres(
    url: str, activity: Activity | None = None, limits: Limits | None = None
) -> ControlStore:
    """Open the store in the database at *url*, which other platforms of the same log may share.

    While it does not answer, every call says so, and *activity* as well; it comes back by itself.

    Raises:
        ParameterError: *url* is not one of PostgreSQL.
        StorageError: A newer AgentFlow made the tables, or they cannot be made.
    """
    database = PostgresDatabase(address_of(url), activity, limits or Limits())
    try:
        database.prepare()
    except BaseException:
        database.close()
        raise
    return ControlStore(database, Ownership(secrets.token_hex(8), lease_us=LEASE_US))
