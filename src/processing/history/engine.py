"""DuckDB connections that outlive a query: set up once, lent to one thread at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Condition, Lock, Timer
from typing import Final

import duckdb

from agentflow.errors import StorageError, UnavailableError, ValueTooLargeError
from processing.lake.rows import ArrowTable

_CLOSE_SECONDS: Final = 10.0
_LOCK: Final = """
SET GLOBAL TimeZone = 'UTC';
SET enable_external_access = false;
SET lock_configuration = true;
"""

_FETCHED_AT_ONCE: Final = 500


class QuestionError(UnavailableError):
    """A question cannot be answered for a reason of its own; nothing is wrong with the history."""


class TookTooLongError(QuestionError):
    """A question asked for more than can be answered in time."""


class ClosedError(UnavailableError):
    """The platform stops; nothing is wrong with the history."""


_OF_THE_QUESTION: Final = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.DataError,
    duckdb.NotImplementedException,
    duckdb.ParserException,
)
"""What DuckDB raises while every file can be read."""


class QuerySession:
    """One connection with the views it made; they stay until what they show has changed."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._stopped = False
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
        """Run a query and return its rows; see `stream`."""
        return list(self.stream(text, parameters, deadline=deadline))

    def stream(
        self, text: str, parameters: Mapping[str, object], *, deadline: timedelta
    ) -> Iterator[tuple[object, ...]]:
        """Run a query and yield its rows; few of them are held at once.

        DuckDB has the interpreter to itself while it makes rows: fetched all at once, 100,000 of
        them kept every other thread waiting for half a second.

        Raises:
            UnavailableError: It was not done, with all its rows fetched, at the deadline, or the
                engine closes.
            ValueTooLargeError: A number in it has more digits than DuckDB holds.
        """
        if self._stopped:
            raise _closed()
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
            result = self._connection.execute(text, dict(parameters))
            while rows := result.fetchmany(_FETCHED_AT_ONCE):
                yield from rows
                if self._stopped:  # an interrupt between two fetches ends nothing
                    raise _closed()
        except duckdb.InterruptException as error:
            if self._stopped:
                raise _closed() from error
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

    def stop(self) -> None:
        """End the query that runs and refuse others; from another thread."""
        self._stopped = True
        self._connection.interrupt()


def _closed() -> ClosedError:
    return ClosedError("the history is closed, the platform stops", hint="Ask again when it runs.")


class Engine:
    """An in-memory DuckDB that can read the lake's folder and nothing else. Any thread."""

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
        self._idle: deque[QuerySession] = deque()
        self._lent: set[QuerySession] = set()
        self._open = True
        self._returned = Condition()

    @contextmanager
    def session(self) -> Iterator[QuerySession]:
        """Lend a session.

        Raises:
            StorageError: A file cannot be read.
            QuestionError: DuckDB could not run this query.
            UnavailableError: DuckDB does not work, or it is closed.
        """
        session = self._lend()
        whole = False
        try:
            yield session
            whole = True
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
        finally:
            with self._returned:
                self._lent.discard(session)
                if whole and self._open:
                    self._idle.append(session)
                self._returned.notify_all()

    def _lend(self) -> QuerySession:
        with self._returned:
            if not self._open:
                raise _closed()
            session = self._idle.pop() if self._idle else QuerySession(self._database.cursor())
            self._lent.add(session)
            return session

    def close(self) -> None:
        """End what runs and release the memory; a thread may still compute an answer in vain."""
        until = time.monotonic() + _CLOSE_SECONDS
        with self._returned:
            self._open = False
            while self._lent and time.monotonic() < until:
                for session in self._lent:
                    session.stop()
                self._returned.wait(0.05)
            self._idle.clear()
            self._database.close()
