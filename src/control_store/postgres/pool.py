"""Connections to PostgreSQL: few, kept open, and none of them waits longer than it may."""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import ceil
from threading import Lock
from time import monotonic
from typing import Any, ClassVar, Final, Self, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool, PoolTimeout

from control_store.postgres.address import Address

T = TypeVar("T")
_STEP_SECONDS: Final = 0.05
_INTERVAL_SECONDS: Final = 0.1
_IDLE_SECONDS: Final = 300.0
_NAME: Final = "agentflow"


class Refusals:
    """Why the last connections could not be made. Any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.count = 0
        self.last = ""

    def note(self, error: psycopg.Error) -> None:
        """Remember the reason, without a second line that may quote what was sent."""
        with self._lock:
            self.count += 1
            self.last = first_line(error)


class BoundedConnection(psycopg.Connection[Any]):
    """A connection whose every wait for the server ends.

    A server that is stopped or cut off does not answer and does not close the connection either:
    without this a caller would wait as long as it lasts.
    """

    limit_seconds: float = 5.0
    refusals: ClassVar[Refusals]

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Self:  # noqa: ANN401 - the driver's
        """Connect, and remember why not."""
        try:
            return super().connect(conninfo, **options)
        except psycopg.Error as error:
            cls.refusals.note(error)
            raise

    def wait(
        self, gen: PQGen[T], interval: float = _INTERVAL_SECONDS, timeout: float | None = None
    ) -> T:
        """Wait for the server, but not longer than the limit; the connection is gone then."""
        limit = self.limit_seconds if timeout is None else timeout
        ends = monotonic() + limit
        try:
            return super().wait(gen, interval, timeout=limit)
        except psycopg.OperationalError as error:
            if monotonic() < ends:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {limit:g} s") from error

    def add_notice_handler(self, callback: Callable[[Any], None]) -> None:
        """Take none: SQLAlchemy adds one each time it is given the connection."""


class BoundedPool:
    """A pool that gives a connection soon or says why not."""

    def __init__(self, address: Address, *, most: int, limit_seconds: float) -> None:
        """Open none yet."""
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # health says it already
        self._refusals = refusals = Refusals()
        self._limit_seconds = limit_seconds
        connection_class = type(
            "Bounded", (BoundedConnection,), {"limit_seconds": limit_seconds, "refusals": refusals}
        )
        self._pool: ConnectionPool[BoundedConnection] = ConnectionPool(
            _conninfo(address, limit_seconds),
            connection_class=connection_class,
            min_size=0,
            max_size=most,
            open=False,
            check=ConnectionPool.check_connection,
            close_returns=True,
            name="control-store",
            max_idle=_IDLE_SECONDS,
            reconnect_timeout=0,
            timeout=limit_seconds,
        )
        self._pool.open()

    def take(self) -> BoundedConnection:
        """Return a connection that answered a moment ago; closing it gives it back.

        Raises:
            psycopg.OperationalError: There is none within the limit, or none can be made.
        """
        deadline = monotonic() + self._limit_seconds
        before = self._refusals.count
        while True:
            left = deadline - monotonic()
            try:
                return self._pool.getconn(max(0.001, min(_STEP_SECONDS, left)))
            except PoolTimeout as error:
                if self._refusals.count > before:
                    raise psycopg.OperationalError(self._refusals.last) from error
                if left <= 0:
                    text = f"no connection within {self._limit_seconds:g} s"
                    raise psycopg.OperationalError(text) from error

    def close(self) -> None:
        """Close all of them."""
        self._pool.close(timeout=self._limit_seconds)


def first_line(error: BaseException) -> str:
    """Return what a driver says, without what it adds for people who look at SQL."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()


def _conninfo(address: Address, limit_seconds: float) -> str:
    """Add to the operator's settings what keeps every wait short; theirs count."""
    milliseconds = ceil(limit_seconds * 1000)
    ours = {
        "connect_timeout": ceil(limit_seconds),
        "tcp_user_timeout": milliseconds,
        "application_name": _NAME,
    }
    theirs = conninfo_to_dict(address.conninfo)
    return make_conninfo(
        address.conninfo,
        **{name: value for name, value in ours.items() if name not in theirs},  # type: ignore[arg-type]
    )
