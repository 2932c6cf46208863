"""DuckDB connections that outlive a query: set up once, lent to one thread at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Lock, Timer
from typing import Final

import duckdb

from agentflow.errors import StorageError, UnavailableError, ValueTooLargeError
from processing.lake.rows import ArrowTable

_LOCK: Final = """
SET GLOBAL TimeZone = 'UTC';
SET enable_external_access = false;
SET lock_configuration = true;
"""


class QuestionError(UnavailableError):
    """A question cannot be answered for a reason of its own; nothing is wrong with the history."""


class TookTooLongError(QuestionError):
    """A question asked for more than can be answered in time."""


_OF_THE_QUESTION: Final = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.DataError,
    duckdb.NotImplementedException,
    duckdb.ParserException,
)
"""What DuckDB raises while every file can be read."""


class Session:
    """One connection with the views it made; they stay until what they show has changed."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._views: dict[str, object] = {}
        self._relations: dict[str, ArrowTable] = {}

    def relation(self, name: str, rows: ArrowTable) -> None:
        """Make Arrow rows readable under *name*."""
        if self._relations.get(name) is not rows:
            self._connection.register(name, rows)
            self._relations[name] = rows

    def view(self, name: str, statement: str) -> None:
        """Run the statement that makes view *name*, unless it is what was run last."""
        if self._views.get(name) != statement:
            self._connection.execute(statement)
            self._views[name] = statement

    def rows(
        self, text: str, parameters: Mapping[str, object], *, deadline: timedelta
    ) -> list[tuple[object, ...]]:
        """Run a query and return its rows.

        Raises:
            UnavailableError: It was not done at the deadline.
            ValueTooLargeError: A number in it has more digits than DuckDB holds.
        """
        guard = Lock()
        done = False

        def stop() -> None:
            with guard:  # never interrupts the query after this one
                if not done:
                    self._connection.interrupt()

        timer = Timer(deadline.total_seconds(), stop)
        timer.daemon = True
        timer.start()
        try:
            return self._connection.execute(text, dict(parameters)).fetchall()
        except duckdb.InterruptException as error:
            seconds = deadline.total_seconds()
            raise TookTooLongError(
                f"the history query ran longer than {seconds:g} s and was stopped",
                hint="Ask for a shorter range or a coarser grain.",
            ) from error
        except (duckdb.OutOfRangeException, duckdb.ConversionException) as error:
            raise ValueTooLargeError(
                "a number in it has more than 38 digits",
                hint="Bound the fields it multiplies: give them a minimum and a maximum.",
            ) from error
        finally:
            timer.cancel()
            with guard:
                done = True
            timer.join()  # else it may drop the last reference to the connection while Python exits


class Engine:
    """An in-memory DuckDB that can read the lake's folder and nothing else."""

    def __init__(self, lake_directory: Path, *, threads: int, memory_limit_mib: int) -> None:
        self._database = duckdb.connect(
            ":memory:",
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "memory_limit": f"{memory_limit_mib}MiB",
                "python_enable_replacements": False,
                "threads": threads,
            },
        )
        self._database.execute("SET allowed_directories = $1", [[str(lake_directory)]])
        self._database.execute(_LOCK)
        self._idle: deque[Session] = deque()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Lend a session.

        Raises:
            StorageError: A file cannot be read.
            QuestionError: DuckDB could not run this query.
            UnavailableError: DuckDB does not work.
        """
        session = self._idle.pop() if self._idle else self._new()
        try:
            yield session
        except duckdb.IOException as error:
            raise StorageError(f"the lake cannot be read: {error}") from error
        except duckdb.OutOfMemoryException as error:
            raise QuestionError(
                "the history query needs more memory than it may have",
                hint="Ask for a shorter range, or for fewer dimensions.",
            ) from error
        except _OF_THE_QUESTION as error:
            raise QuestionError(f"the history query failed: {error}") from error
        except duckdb.Error as error:
            raise UnavailableError(f"the history query failed: {error}") from error
        self._idle.append(session)

    def _new(self) -> Session:
        return Session(self._database.cursor())

    def close(self) -> None:
        """Release the memory."""
        self._idle.clear()
        self._database.close()
