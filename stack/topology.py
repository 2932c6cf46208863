"""All services together: what `python -m stack` starts, in the order of who needs whom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stack.errors import StackError
from stack.service import Service
from stack.services import (
    S3,
    Connect,
    Flink,
    IcebergRest,
    Kafka,
    LakeFlink,
    MariaDb,
    Postgres,
    Redis,
)

_NEEDS = {"connect": ("kafka",), "iceberg-rest": ("s3",)}


def services(names: Sequence[str] = ()) -> list[Service]:
    """Return services by name with those that they need; all of them when none is named.

    Raises:
        StackError: There is no service of that name.
    """
    kafka, s3 = Kafka(secure=True), S3()
    known: list[Service] = [
        *(Redis(), Postgres(), MariaDb(), kafka, s3),
        *(IcebergRest(s3), Connect(kafka), Flink(), LakeFlink()),
    ]
    unknown = set(names) - {service.name for service in known}
    if unknown:
        choices = ", ".join(service.name for service in known)
        raise StackError(f"no service is called {sorted(unknown)}", fix=f"Name one of: {choices}.")
    wanted = set(names) | {need for name in names for need in _NEEDS.get(name, ())}
    return [service for service in known if not names or service.name in wanted]


def attach(directory: Path, names: Sequence[str] = ()) -> list[Service]:
    """Return services bound to `directory`, whether they run or not."""
    return [service.attach(directory / service.name) for service in services(names)]
