"""Translate what PostgreSQL and its driver raise into `agentflow.errors`."""

from __future__ import annotations

from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError

from agentflow.errors import AgentFlowError, StorageError, StorageFullError, UnavailableError
from control_store.postgres.pool import first_line

_DISK_FULL: Final = "53100"
_READ_ONLY: Final = "25006"
_AWAY: Final = ("08", "28", "3D", "53", "57P")
"""Connection, login, database, resources, shutdown: begins of codes of a server that is away."""
_BUSY: Final = ("55", "57", "40", _READ_ONLY)
"""Locks, cancelled, serialization: it is there, and could not do this call now."""
_HINT: Final = (
    "Reads and events without an Idempotency-Key go on. Start the database, or check "
    "AGENTFLOW_CONTROL_URL; it is asked again by itself."
)


def away(error: DBAPIError) -> bool:
    """Tell whether the next call would fail as well."""
    code = getattr(error.orig, "sqlstate", None)
    if code is None:
        return isinstance(error.orig, psycopg.OperationalError | psycopg.InterfaceError)
    return str(code).startswith(_AWAY) and code != _DISK_FULL


def control_error(error: DBAPIError, *, place: str) -> AgentFlowError:
    """Return the deliberate error that stands for *error*, to be raised `from` it."""
    code = str(getattr(error.orig, "sqlstate", None) or "")
    text = first_line(error.orig or error)
    if away(error):
        message = f"the control store in PostgreSQL at {place} does not answer: {text}"
        return UnavailableError(message, hint=_HINT)
    if code.startswith(_BUSY):
        message = f"the control store in PostgreSQL at {place} cannot do it now: {text}"
        return UnavailableError(message, hint="Nothing was changed; send it again.")
    if code == _DISK_FULL:
        return StorageFullError(
            f"no space left for the control store in PostgreSQL at {place}",
            hint="Nothing of this call was stored. Free disk space there and send it again.",
        )
    return StorageError(
        f"the control store in PostgreSQL at {place} failed: {text}",
        hint="Nothing was changed. See the database's log, and that the user owns the tables.",
    )
