"""Where a PostgreSQL database is: what is shown of it, and what only the driver is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from agentflow.errors import ParameterError

SCHEMES: Final = ("postgresql://", "postgres://")
_HINT: Final = (
    "Write postgresql://user:password@host:port/database, with characters like @ : / in the "
    "password percent-encoded, or leave AGENTFLOW_CONTROL_URL out for the file in the data "
    "directory."
)


@dataclass(frozen=True, slots=True)
class Address:
    """A database.

    Attributes:
        place: `host:port/database`; the only thing of it that is ever shown.
        conninfo: All of it, with the password, as libpq reads it.
    """

    place: str
    conninfo: str = field(repr=False)


def address_of(url: str) -> Address:
    """Read the setting.

    Raises:
        ParameterError: It is not the URL of a PostgreSQL database; its text is not repeated.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(url) if url.startswith(SCHEMES) else None
    except ProgrammingError:
        parts = None
    if parts is None or not _plain(parts):
        raise ParameterError(
            "AGENTFLOW_CONTROL_URL is not the URL of a PostgreSQL database", hint=_HINT
        )
    database = parts.get("dbname") or parts.get("user") or ""
    hosts = str(parts.get("host") or "localhost").split(",")
    ports = str(parts.get("port") or "5432").split(",")
    ports += ports[-1:] * (len(hosts) - len(ports))
    servers = ",".join(f"{host}:{port}" for host, port in zip(hosts, ports, strict=False))
    return Address(f"{servers}/{database}", url)


def _plain(parts: Mapping[str, object]) -> bool:
    """Tell whether what is shown of the address can hold nothing of a password.

    One with `@`, `:` or `/` that is not percent-encoded is read as a part of the host, the port or
    the database.
    """
    host, port, database = (str(parts.get(name) or "") for name in ("host", "port", "dbname"))
    return (
        "@" not in host
        and all(each.isdigit() for each in port.split(",") if each)
        and not set("@/?:") & set(database)
    )
