"""The yardstick: an ASGI app on the same server that sends the same bytes and does nothing else.

Its argument is JSON, `{"status": …, "headers": …, "body": …}`: it answers whatever it is asked
with that. Prints its port when it is ready.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import sys
from typing import Any

import uvicorn
import uvloop

from serving.wiring import tune_runtime


class Raw:
    """Answers every request with the same bytes."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        length = [] if status == 304 else [(b"content-length", b"%d" % len(body))]
        self._start = {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, *length],
        }
        self._body = {"type": "http.response.body", "body": b"" if status == 304 else body}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        """Answer."""
        await send(self._start)
        await send(self._body)


async def main() -> None:
    """Serve until terminated."""
    asked = json.loads(sys.argv[1])
    headers = [(name.encode(), value.encode()) for name, value in asked["headers"]]
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        Raw(asked["status"], headers, asked["body"].encode()),
        http="httptools",
        loop="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
    )
    gc.freeze()
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    tune_runtime()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
