"""Who may hold a connection, how many, and for how long without using it.

All of it is judged before a request is read whole, and so before its key. One sweep a second looks
at every connection, so that a request costs no timer of its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final, Protocol

import structlog

log = structlog.get_logger()

SWEEP_SECONDS: Final = 1.0
_SWEEPS_A_LIMIT: Final = 4
_SAY_EVERY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may cost, and how many there may be.

    Attributes:
        connections: Open at once; when all are taken, the one idle for longest makes room.
        per_address: Open at once from one address (of IPv6: one /64 network); 0 means no limit.
        header_bytes: Longest request line and headers together.
        header_seconds: Longest time from the first byte of a request to the end of its headers.
        body_seconds: How long a body may take before `body_bytes_per_second` is asked of it.
        body_bytes_per_second: Slowest average rate of a body after that.
        idle_seconds: How long a connection may stay open without a request.
        stall_seconds: How long a receiver may take nothing of what is waiting for it.
        proxies: Addresses that speak for others, and are not counted as one.
    """

    connections: int = 2_048
    per_address: int = 256
    header_bytes: int = 32 * 1024
    header_seconds: float = 10
    body_seconds: float = 20
    body_bytes_per_second: int = 1_024
    idle_seconds: float = 75
    stall_seconds: float = 30
    proxies: frozenset[str] = frozenset()


class Connection(Protocol):
    """An open connection, as the sweep sees it."""

    @property
    def idle_since(self) -> float | None:
        """Since when it has no request; None while it has one."""
        ...

    def check(self, now: float) -> None:
        """End the connection if it has used up its time."""
        ...

    def close(self) -> None:
        """End the connection, which has no request."""
        ...


class Connections:
    """The open connections of one event loop.

    Attributes:
        limits: What they may cost.
        now: The loop's time in seconds, as of the last sweep.
    """

    def __init__(self, limits: ConnectionLimits | None = None) -> None:
        self.limits = limits = limits or ConnectionLimits()
        self.now = 0.0
        self._open: dict[Connection, str] = {}
        self._from: Counter[str] = Counter()
        self._interval = min(
            SWEEP_SECONDS,
            *(
                seconds / _SWEEPS_A_LIMIT
                for seconds in (
                    limits.header_seconds,
                    limits.body_seconds,
                    limits.idle_seconds,
                    limits.stall_seconds,
                )
            ),
        )
        self._sweeping: asyncio.TimerHandle | None = None
        self._refused = 0
        self._said_at = -_SAY_EVERY_SECONDS

    def __len__(self) -> int:
        """Return how many connections are open."""
        return len(self._open)

    @property
    def sweeping(self) -> bool:
        """Whether the open connections are being looked at."""
        return self._sweeping is not None

    def admit(self, connection: Connection, address: str) -> bool:
        """Count *connection* in if there is room for it; it leaves with `release`."""
        source = network(address)
        if self._sweeping is None:
            self._sweep()
        if self._crowded(source, address) or not self._has_room():
            self._note_refusal(source)
            return False
        self._open[connection] = source
        self._from[source] += 1
        return True

    def release(self, connection: Connection) -> None:
        """Forget a connection that has ended; one that was never admitted is ignored."""
        source = self._open.pop(connection, None)
        if source is not None:
            self._from[source] -= 1
            if not self._from[source]:
                del self._from[source]

    def _crowded(self, source: str, address: str) -> bool:
        limit = self.limits.per_address
        return bool(limit) and self._from[source] >= limit and address not in self.limits.proxies

    def _has_room(self) -> bool:
        if len(self._open) < self.limits.connections:
            return True
        idle = [
            (since, number)
            for number, held in enumerate(self._open)
            if (since := held.idle_since) is not None
        ]
        if not idle:
            return False
        oldest = list(self._open)[min(idle)[1]]
        self.release(oldest)
        oldest.close()
        return True

    def _sweep(self) -> None:
        """Look at every connection, and again in a while; not while there are none."""
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        idle = self._sweeping is not None and not self._open
        self._sweeping = None if idle else loop.call_later(self._interval, self._sweep)
        for connection in list(self._open):
            connection.check(self.now)

    def _note_refusal(self, source: str) -> None:
        self._refused += 1
        if self.now - self._said_at >= _SAY_EVERY_SECONDS:
            log.warning(
                "connections.refused", address=source, refused=self._refused, open=len(self._open)
            )
            self._said_at, self._refused = self.now, 0


def network(address: str) -> str:
    """Return what counts as one address: of IPv6 the /64 network, which one household has.

    >>> network("2001:db8::1:2"), network("::ffff:10.0.0.1"), network("10.0.0.1")
    ('2001:db8::/64', '10.0.0.1', '10.0.0.1')
    """
    if ":" not in address:
        return address
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{IPv6Address(int(found) >> 64 << 64)}/64"
