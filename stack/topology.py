"""All services together: what `python -m stack` starts, in the order of who needs whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agentflow.contracts import Registry
from agentflow.lint import load
from stack.errors import StackError
from stack.home import REPOSITORY
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

CONTRACTS = REPOSITORY / "contracts"
WHEEL = "platform"
_NEEDS = {"connect": ("kafka",), "iceberg-rest": ("s3",)}
Database = Postgres | MariaDb


class Services:
    """One of everything the platform needs, planned to work together.

    Attributes:
        databases: By the name that source contracts give to a server.
        wheel: Where the platform is installed for Flink's workers; see `jobs.install_wheel`.
    """

    def __init__(
        self,
        directory: Path,
        databases: Mapping[str, Database],
        *,
        secure: bool = False,
        without_c2: bool = True,
    ) -> None:
        """Plan them; nothing starts yet.

        Args:
            directory: Of the data and logs of all of them.
            databases: Captured by Debezium.
            secure: Whether the broker has a listener with TLS and passwords as well.
            without_c2: Let broker and Flink skip Java's optimising compiler.
        """
        self.directory = directory.absolute()
        self.databases = dict(databases)
        self.wheel = self.directory / WHEEL
        self.kafka, self.s3 = Kafka(secure=secure, without_c2=without_c2), S3()
        self.catalog = IcebergRest(self.s3)
        self.connect = Connect(self.kafka, databases=self.databases)
        self.flink = Flink(pythonpath=(self.wheel,), without_c2=without_c2)
        self.lake_flink = LakeFlink(pythonpath=(self.wheel,), without_c2=without_c2)

    def attach(self) -> None:
        """Bind all of them to their directories, with whatever runs there; ports are known then."""
        for service in self.in_order:
            service.attach(self.directory / service.name)

    @property
    def in_order(self) -> tuple[Service, ...]:
        """All of them, those that others need first."""
        found: tuple[Service, ...] = (
            *self.databases.values(),
            *(self.kafka, self.s3, self.catalog, self.connect, self.flink, self.lake_flink),
        )
        return found


def databases_of(registry: Registry) -> dict[str, Database]:
    """Return the databases of this machine under the server names of the source contracts.

    Raises:
        StackError: Two servers would be the same database here.
    """
    kinds = {each.server: each.connector for each in registry.tables.values()}
    here: dict[str, type[Database]] = {"postgres": Postgres, "mariadb": MariaDb}
    found = {server: here[kind]() for server, kind in sorted(kinds.items()) if kind in here}
    names = [database.name for database in found.values()]
    if len(names) != len(set(names)):
        raise StackError(
            f"source contracts name several servers of one kind: {', '.join(found)}",
            fix="There is one database of each kind here: give its tables one server.",
        )
    return found


def services(
    directory: Path, names: Sequence[str] = (), *, contracts: Path = CONTRACTS
) -> list[Service]:
    """Return services by name with those that they need; all of them when none is named.

    Raises:
        ContractFilesError: The contract files are wrong.
        StackError: There is no service of that name.
    """
    return _chosen(_known(directory, contracts), names)


def attach(
    directory: Path, names: Sequence[str] = (), *, contracts: Path = CONTRACTS
) -> list[Service]:
    """Return the same, bound to `directory`, whether they run or not.

    All are bound, also those not asked for: Connect has to know the ports of databases before
    they start.
    """
    known = _known(directory, contracts)
    for service in known:
        service.attach(directory / service.name)
    return _chosen(known, names)


def _known(directory: Path, contracts: Path) -> list[Service]:
    plan = Services(directory, databases_of(load(contracts)), secure=True)
    captured = {type(each) for each in plan.databases.values()}
    uncaptured = [kind() for kind in (Postgres, MariaDb) if kind not in captured]
    return [Redis(), *uncaptured, *plan.in_order]


def _chosen(known: Sequence[Service], names: Sequence[str]) -> list[Service]:
    unknown = set(names) - {service.name for service in known}
    if unknown:
        choices = ", ".join(service.name for service in known)
        raise StackError(f"no service is called {sorted(unknown)}", fix=f"Name one of: {choices}.")
    wanted = set(names) | {need for name in names for need in _NEEDS.get(name, ())}
    return [service for service in known if not names or service.name in wanted]
