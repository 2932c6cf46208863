"""The server ends within its bound, whatever the requests under way wait for."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvicorn
from structlog.testing import capture_logs

from serving.http.replies import Receive, Scope, Send
from serving.server.protocol import hot_protocol
from serving.server.stopping import Server
from tests.serving.api.conftest import Served

GRACE_SECONDS = 0.2
DEADLINE_SECONDS = 10
Waits = Callable[[Receive, Send], Awaitable[None]]


async def for_the_clock(_receive: Receive, _send: Send) -> None:
    await asyncio.Event().wait()


async def for_the_rest_of_a_body(receive: Receive, _send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def for_a_reader(_receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"a" * 2**16, "more_body": True})


async def for_its_own_end(receive: Receive, send: Send) -> None:
    try:
        await for_the_clock(receive, send)
    finally:
        await asyncio.sleep(0)  # gives back what it holds


@pytest.mark.parametrize("forced", [False, True], ids=["at the bound", "by a second signal"])
@pytest.mark.parametrize(
    "waits", [for_the_clock, for_the_rest_of_a_body, for_a_reader, for_its_own_end]
)
def test_a_request_under_way_is_cut_with_one_line_and_no_trace(
    shared: Served, caplog: pytest.LogCaptureFixture, waits: Waits, *, forced: bool
) -> None:
    """A stalled stream, half an upload, a read that waits: none leaves a trace in the log."""
    begun = asyncio.Event()
    ended = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        try:
            await waits(receive, send)
        finally:
            ended.set()

    async def run() -> None:
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]
            http=hot_protocol(shared.api), lifespan="off", log_config=None, access_log=False,
        )  # fmt: skip
        server = Server(config, on_stop=lambda: None, grace_seconds=60 if forced else GRACE_SECONDS)
        listener = socket.create_server(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=2**12)
        writer.write(b"POST /waits HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nhalf")
        await begun.wait()
        server.should_exit, server.force_exit = True, forced
        async with asyncio.timeout(DEADLINE_SECONDS):
            await serving
            await reader.read()
            await ended.wait()
        writer.close()

    with caplog.at_level(logging.WARNING), capture_logs() as logs:
        shared.run(run())

    assert [record.getMessage() for record in caplog.records] == []
    assert logs == [
        {"event": "server.requests_cut", "log_level": "warning", "connections": 1, "requests": 1}
    ]
