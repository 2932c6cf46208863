"""A database as the statements of every concern see it: transactions that are bounded in time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy import Connection, Insert, Table, Update

from agentflow.errors import StorageError, UnavailableError
from agentflow.supervision import Activity

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


Upsert: TypeAlias = "sqlite.Insert | postgresql.Insert"
"""An INSERT that may find its row there already: both dialects say it alike."""


Prepared: TypeAlias = Callable[[Connection, Mapping[str, object]], int]
"""Executes one statement in a transaction; returns how many rows it inserted or changed."""


class Database(ABC):
    """Transactions on one database. Any thread.

    Each is durable when its block ends without an error, and has no effect when it raises.
    """

    def __init__(self, activity: Activity | None) -> None:
        """Tell *activity* whether calls succeed; a command has none, and says it itself."""
        self._activity = activity

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Look at the tables as they are at one instant.

        Raises:
            UnavailableError: The database does not answer.
            StorageError: It answers that it cannot.
        """
        with self._noted(), self._connected(write=False) as connection:
            yield connection

    @contextmanager
    def writing(self, *, alone: Table | None = None) -> Iterator[Connection]:
        """Change the tables; *alone* is a table that nobody else writes to meanwhile.

        Raises:
            UnavailableError: The database does not answer; nothing was changed, or it is not known.
            StorageError: It answers that it cannot; nothing was changed.
        """
        with self._noted(), self._connected(write=True) as connection:
            if alone is not None:
                self._take(connection, alone)
            yield connection

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except (StorageError, UnavailableError) as error:
            if self._activity is not None:
                self._activity.failed(error, expected=True)
            raise
        if self._activity is not None:
            self._activity.well()

    @abstractmethod
    def insert(self, table: Table) -> Upsert:
        """Begin an INSERT in the words of this database."""

    @abstractmethod
    def prepared(self, statement: Insert | Update) -> Prepared:
        """Return what executes *statement*, for calls that are many: it is compiled once."""

    @abstractmethod
    def bring_to(self, version: str) -> None:
        """Bring the tables to a version, up or down: all of it, by one process, or nothing.

        Raises:
            UnavailableError: The database does not answer.
            StorageError: A newer AgentFlow made the tables, or they cannot be changed.
        """

    @abstractmethod
    def check(self) -> None:
        """Ask whether it answers, and note it; never raises because it does not."""

    @abstractmethod
    def close(self) -> None:
        """Release what is open; further calls fail."""

    @abstractmethod
    def _connected(self, *, write: bool) -> AbstractContextManager[Connection]:
        """Open a transaction that ends with the block; a driver's error becomes one of ours."""

    @abstractmethod
    def _take(self, connection: Connection, table: Table) -> None:
        """Keep other writers out of a table until the transaction ends."""
