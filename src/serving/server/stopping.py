"""The HTTP server, and how it ends: streams at once, other requests with some seconds of grace."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
import uvicorn

from serving.server.protocol import HotProtocol

log = structlog.get_logger()

GRACE_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 5
"""How much longer the server waits for requests that it has cut."""


class Server(uvicorn.Server):
    """A server that leaves signals to its owner and cuts who keeps it from ending.

    A client may have stopped reading, or be in the middle of a body: after the grace its connection
    is aborted, and the request ends without an answer.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        on_stop: Callable[[], None],
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        super().__init__(config)
        config.timeout_graceful_shutdown = int(grace_seconds) + _PATIENCE_SECONDS
        self._on_stop = on_stop
        self._grace_seconds = grace_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, which never end by themselves, then everything else."""
        self._on_stop()
        cutting = asyncio.get_running_loop().call_later(self._grace_seconds, self._cut)
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()
            self._cut()  # those that were not waited for

    def _cut(self) -> None:
        """Abort every connection that is open and end every request that is under way."""
        connections, requests = list(self.server_state.connections), list(self.server_state.tasks)
        if not connections and not requests:
            return
        log.warning("server.requests_cut", connections=len(connections), requests=len(requests))
        for connection in connections:
            if isinstance(connection, HotProtocol):
                connection.abort()
        for request in requests:
            request.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield
