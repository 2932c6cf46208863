"""PostgreSQL behind the statements: a pool, and an answer within a bounded time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Final

from sqlalchemy import Connection, Insert, NullPool, Table, Update, create_engine, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from agentflow.errors import StorageError, UnavailableError
from agentflow.supervision import Activity
from control_store.database import Database, Prepared, Upsert
from control_store.postgres.address import Address
from control_store.postgres.breaker import Breaker
from control_store.postgres.faults import away, control_error
from control_store.postgres.pool import BoundedPool
from control_store.schema import VERSION, bring, version_of

PAUSE_SECONDS: Final = 1.0
_MIGRATION_SECONDS: Final = 60.0
_LOCK: Final = 0x41464354
"""What processes agree on that bring the tables up: `AFCT`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the database may cost.

    Attributes:
        seconds: Longest wait of a call for a connection, and for each answer.
        connections: Open at once.
    """

    seconds: float = 3.0
    connections: int = 8


class PostgresDatabase(Database):
    """A `Database` in PostgreSQL, which other processes may share.

    It need not be there when this is built: its tables are made, or brought up, by the first call
    that reaches it. A call is answered within a bounded time, and at once while it is known to be
    away: then one call a second asks whether it is back.
    """

    def __init__(self, address: Address, activity: Activity | None, limits: Limits) -> None:
        """Connect to nothing yet."""
        super().__init__(activity)
        self._place = address.place
        self._breaker = Breaker(PAUSE_SECONDS, monotonic)
        self._connections = BoundedPool(
            address, most=limits.connections, limit_seconds=limits.seconds
        )
        self._engine = create_engine(
            "postgresql+psycopg://",
            creator=self._connections.take,
            poolclass=NullPool,
            hide_parameters=True,
            use_native_hstore=False,
        )
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ")
        self._ready = False
        self._preparing = Lock()

    @contextmanager
    def _connected(self, *, write: bool) -> Iterator[Connection]:
        refusal = self._breaker.refusal()
        if refusal is not None:
            raise UnavailableError(str(refusal), hint=getattr(refusal, "hint", None))
        with self._translated():
            if not self._ready:
                self._prepare()
            engine = self._engine if write else self._reader
            with engine.connect() as connection, connection.begin():
                yield connection
        self._breaker.well()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            ours = control_error(error, place=self._place)
            if away(error):
                self._breaker.failed(ours)
            raise ours from error

    def prepare(self) -> None:
        """Make the tables, or bring them to this version, if the database answers.

        Raises:
            StorageError: A newer AgentFlow made them, or they cannot be made.
        """
        with suppress(UnavailableError), self.reading():
            pass

    def found(self) -> str | None:
        """Return the version of the tables, as they are; None when there are none.

        Raises:
            UnavailableError: It does not answer.
            StorageError: A newer AgentFlow made them, or they cannot be read.
        """
        with self._translated(), self._engine.connect() as connection, connection.begin():
            return version_of(connection)

    def _prepare(self) -> None:
        with self._preparing:
            if self._ready:
                return
            with self._engine.connect() as connection, connection.begin():
                found = version_of(connection)
            if found != VERSION:
                self._bring(VERSION)
            self._ready = True

    def bring_to(self, version: str) -> None:
        """Bring the tables to a version, one process at a time; others find them as they are."""
        with self._noted(), self._translated():
            self._bring(version)

    def _bring(self, version: str) -> None:
        with self._engine.connect() as connection, connection.begin():
            driver = connection.connection.dbapi_connection
            assert driver is not None  # noqa: S101 - it is open
            limit, driver.limit_seconds = driver.limit_seconds, _MIGRATION_SECONDS
            try:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
                bring(connection, version)
            finally:
                driver.limit_seconds = limit

    def insert(self, table: Table) -> Upsert:
        """Begin an INSERT in the words of PostgreSQL."""
        return postgresql.insert(table)

    def prepared(self, statement: Insert | Update) -> Prepared:
        """Return what executes *statement*; the server prepares what comes often."""
        counted = statement.execution_options(preserve_rowcount=True)

        def execute(connection: Connection, values: Mapping[str, object]) -> int:
            return connection.execute(counted, values).rowcount

        return execute

    def _take(self, connection: Connection, table: Table) -> None:
        connection.execute(text(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE"))

    def check(self) -> None:
        """Ask whether it answers; note it, and let calls through again when it does."""
        with suppress(UnavailableError, StorageError), self.reading() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every connection; further calls fail."""
        self._connections.close()
        self._engine.dispose()
