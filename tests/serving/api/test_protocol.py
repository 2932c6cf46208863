"""The protocol on a real socket: reads answered at once, and everything else as the server would.

Each test counts what went the server's own way (`asgi`), so that none passes because all of it did.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from serving.access.limits import RateLimitPolicy
from serving.http.connections import ConnectionLimits, Connections
from serving.http.replies import Headers, Receive, Scope, Send
from serving.server.hot import HotPath
from serving.server.protocol import hot_protocol
from tests.serving.api.conftest import Served, order, serving

URL = "/v1/metrics/revenue?window=1h&currency=EUR"
KEYS = "k-acme:acme,k-umbrella:umbrella,k-write:acme:write"
DEADLINE_SECONDS = 20


@dataclass
class Answer:
    """One answer as it came out of the socket."""

    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, method: str = "GET", url: str = URL, **options: str) -> Answer:
        """Send one request and read its answer."""
        self.writer.write(request(method, url, **options))
        return await self.read(bodied=method != "HEAD")

    async def read(self, *, bodied: bool = True) -> Answer:
        """Read the next answer."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), DEADLINE_SECONDS)
        first, *lines = head.decode().rstrip("\r\n").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name not in headers
            headers[name] = value
        length = int(headers.get("content-length", 0)) if bodied else 0
        return Answer(int(first.split()[1]), headers, await self.reader.readexactly(length))

    async def ended(self) -> bool:
        """Wait until the server has closed the connection; tell whether it said nothing more."""
        return await asyncio.wait_for(self.reader.read(), DEADLINE_SECONDS) == b""


@dataclass
class Server:
    """Accepts connections; knows them, and what was not answered at once."""

    port: int = 0
    asgi: list[str] = field(default_factory=list)
    connections: list[HttpToolsProtocol] = field(default_factory=list)
    open: Connections = field(default_factory=Connections)

    async def connect(self, *, limit: int = 2**16) -> Line:
        """Open a connection, whose client holds about twice *limit* bytes that it has not read."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, limit)
        client.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self.port))
        return Line(*await asyncio.open_connection(sock=client, limit=limit))


def request(method: str, url: str, version: str = "1.1", body: str = "", **headers: str) -> bytes:
    lines = [f"{method} {url} HTTP/{version}", "host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", body]).encode()


@asynccontextmanager
async def listening(
    served: Served,
    *,
    hot: HotPath | None = None,
    limits: ConnectionLimits | None = None,
    others_take_seconds: float = 0,
) -> AsyncIterator[Server]:
    server = Server()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        server.asgi.append(f"{scope['method']} {scope['path']}")
        await asyncio.sleep(others_take_seconds)
        await served.api(scope, receive, send)

    config = uvicorn.Config(
        app, lifespan="off", access_log=False, log_level="critical",  # type: ignore[arg-type]
        server_header=False, date_header=False,
    )  # fmt: skip
    server.open = Connections(limits)
    protocol, state = hot_protocol(hot or served.api, server.open), ServerState()

    def connected() -> HttpToolsProtocol:
        server.connections.append(protocol(config, state, {}))
        return server.connections[-1]

    bound = socket.create_server(("127.0.0.1", 0))
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)  # the kernel takes no more
    server.port = bound.getsockname()[1]
    listener = await asyncio.get_running_loop().create_server(connected, sock=bound)
    try:
        yield server
    finally:
        for connection in server.connections:
            connection.transport.abort()
        listener.close()
        await listener.wait_closed()


Story = Callable[[Server, Line], Awaitable[None]]


def told(served: Served, story: Story, *, hot: HotPath | None = None) -> None:
    """Run *story* on a connection that has asked for `URL` once: the question is known."""

    async def run() -> None:
        async with listening(served, hot=hot) as server:
            line = await server.connect()
            assert (await line.ask()).status == 200
            await story(server, line)
            line.writer.close()

    served.run(run())


@pytest.mark.parametrize(
    "url", [URL, "/v1/metrics/revenue?version=1", f"{URL}&by=country,channel", "/v1/metrics/clicks"]
)
def test_at_once_is_the_same_answer(shared: Served, url: str) -> None:
    """It is faster and nothing else: same status, headers and body, whole and unchanged."""

    async def story(server: Server, line: Line) -> None:
        await line.ask(url=url)
        server.asgi.clear()
        tag = shared_answer.headers["etag"]
        for headers in ({}, {"if_none_match": tag}, {"if_none_match": f'W/{tag}, "a"'}):
            headers["x_request_id"] = "mine"
            slow = await shared.client.get(
                url, headers={name.replace("_", "-"): value for name, value in headers.items()}
            )
            fast = await line.ask(url=url, **headers)
            assert fast.status == slow.status_code == (304 if len(headers) > 1 else 200)
            assert fast.headers == dict(slow.headers)
            assert fast.body == slow.content
        assert server.asgi == []

    shared_answer = shared.get(url)
    told(shared, story)


def test_an_event_is_seen_by_the_next_read(served: Served) -> None:
    """Prepared is not cached: nothing has to be invalidated."""

    async def story(server: Server, line: Line) -> None:
        server.asgi.clear()
        for number in range(1, 4):
            before = await line.ask()
            await served.client.post("/v1/events", json=[order(f"O{number}")])
            after = await line.ask(if_none_match=before.headers["etag"])
            assert after.status == 200
            assert b'"value":"%d.00"' % (number * 10) in after.body
        assert server.asgi == []

    told(served, story)


@pytest.mark.parametrize(
    ("method", "url", "headers", "status"),
    [
        ("HEAD", URL, {}, 200),
        ("POST", URL, {"body": "{}"}, 405),
        ("GET", URL, {"body": "{}"}, 200),
        ("GET", URL, {"expect": "100-continue"}, 200),
        ("GET", URL, {"upgrade": "h2c", "connection": "upgrade"}, 200),
        ("GET", URL.replace("revenue", "r%65venue"), {}, 200),
        ("GET", f"http://localhost{URL}", {}, 200),
        ("GET", f"{URL}&at_least=nonsense", {}, 400),
        ("GET", f"{URL}&windw=1h", {}, 400),
        ("GET", "/v1/metrics/revenu", {}, 404),
        ("GET", "/v1/catalog", {}, 200),
    ],
)
def test_what_is_not_plain_goes_the_way_of_the_server(
    shared: Served, method: str, url: str, headers: dict[str, str], status: int
) -> None:
    """And the connection is good for a read at once afterwards."""

    async def story(server: Server, line: Line) -> None:
        await line.ask()
        server.asgi.clear()
        answer = await line.ask(method, url, **headers)
        assert answer.status == status
        assert len(server.asgi) == 1
        assert (await line.ask()).status == 200
        assert len(server.asgi) == 1

    told(shared, story)


@pytest.mark.parametrize("options", [{"version": "1.0"}, {"connection": "close"}])
def test_who_wants_the_connection_closed_gets_it_closed(
    shared: Served, options: dict[str, str]
) -> None:
    """Or a client that reads to the end waits for ever."""

    async def story(server: Server, line: Line) -> None:
        answer = await line.ask(**options)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await line.ended()
        assert len(server.asgi) >= 1

    told(shared, story)


def test_answers_come_in_the_order_of_the_requests(shared: Served) -> None:
    """A read that could be answered at once waits for the slow one before it."""
    urls = [URL, "/v1/catalog", URL, "/v1/metrics/revenu", URL, URL]

    async def story(server: Server, line: Line) -> None:
        server.asgi.clear()
        for _ in range(3):
            line.writer.write(b"".join(request("GET", url) for url in urls))
            statuses, bodies = [], []
            for _ in urls:
                answer = await line.read()
                statuses.append(answer.status)
                bodies.append(b'"revenue"' in answer.body[:40])
            assert statuses == [200, 200, 200, 404, 200, 200]
            assert bodies == [url == URL for url in urls]
        assert server.asgi.count("GET /v1/metrics/revenue") < 12  # the first of each round: at once

    told(shared, story)


def test_a_request_may_arrive_byte_by_byte(shared: Served) -> None:
    """The network does not know where a request ends."""

    async def story(server: Server, line: Line) -> None:
        server.asgi.clear()
        sent = request("GET", URL)
        for byte in sent:
            line.writer.write(bytes([byte]))
            await line.writer.drain()
            await asyncio.sleep(0)
        assert (await line.read()).status == 200
        assert server.asgi == []

    told(shared, story)


def test_who_does_not_read_does_not_fill_the_memory(shared: Served) -> None:
    """Once the socket is full, reads wait like every other answer, and none is lost."""
    count = 3_000

    async def story(server: Server, _: Line) -> None:
        slow = await server.connect(limit=2**14)
        sending = asyncio.create_task(_send(slow, request("GET", URL) * 100, count // 100))
        connection = server.connections[-1]
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not connection.flow.read_paused:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.001)
        assert connection.transport.get_write_buffer_size() < 2**20

        lengths = [len((await slow.read()).body) for _ in range(count)]

        assert lengths == lengths[:1] * count
        await sending
        slow.writer.close()

    told(shared, story)


async def _send(line: Line, block: bytes, times: int) -> None:
    for _ in range(times):
        line.writer.write(block)
        await line.writer.drain()


def test_limits_and_keys_are_those_of_every_route(tmp_path: Path) -> None:
    """The quota is not larger for who is answered at once, and nobody is without a key."""

    async def run() -> None:
        async with listening(served) as server:
            line = await server.connect()
            answers = [await line.ask(x_api_key="k-acme") for _ in range(1_210)]
            passed = [answer for answer in answers if answer.status == 200]
            assert passed == answers[:1_200]
            left = [int(a.headers["ratelimit"].split("r=")[1].split(";")[0]) for a in passed]
            assert left == list(range(1_199, -1, -1))
            assert {a.headers["ratelimit-policy"] for a in passed} == {'"default";q=1200;w=60'}
            assert {answer.status for answer in answers[1_200:]} == {429}
            assert "retry-after" in answers[-1].headers
            assert len(server.asgi) < 300  # blocks of ten are leased behind

            assert (await line.ask(x_api_key="k-umbrella")).status == 200
            assert (await line.ask(x_api_key="k-write")).status == 403
            assert (await line.ask(x_api_key="k-acm")).status == 401
            assert (await line.ask()).status == 401
            line.writer.close()

    with serving(tmp_path, keys=KEYS, policy=RateLimitPolicy(1_200, 60)) as served:
        served.run(run())


def test_each_tenant_reads_its_own(tmp_path: Path) -> None:
    """On one connection, too: a proxy mixes its clients."""

    async def run() -> None:
        async with listening(served) as server:
            line = await server.connect()
            for _ in range(3):
                acme = await line.ask(x_api_key="k-acme")
                umbrella = await line.ask(x_api_key="k-umbrella")
                assert b'"value":"10.00"' in acme.body
                assert b'"value":"10.00"' not in umbrella.body
                other = await line.ask(x_api_key="k-umbrella", if_none_match=acme.headers["etag"])
                assert other.status == 200
            assert len(server.asgi) == 2
            line.writer.close()

    with serving(tmp_path, keys=KEYS) as served:
        served.send(order("A"), headers={"X-API-Key": "k-acme"})
        served.run(run())


def test_what_is_answered_at_once_is_counted(served: Served) -> None:
    """An operator sees every request."""

    async def story(server: Server, line: Line) -> None:
        for _ in range(9):
            await line.ask()
        assert len(server.asgi) == 1

    told(served, story)

    name = 'agentflow_serving_requests_total{method="GET",route="/v1/metrics/{name}",status="200"}'
    assert f"{name} 10.0" in served.get("/metrics").text


def test_an_idle_connection_is_closed(shared: Served) -> None:
    """The time-out begins anew with each answer, also with one that no task has sent."""

    async def run() -> None:
        async with listening(shared, limits=ConnectionLimits(idle_seconds=0.2)) as server:
            line = await server.connect()
            await line.ask()
            server.asgi.clear()
            await line.ask()
            assert server.asgi == []
            assert await line.ended()
            line.writer.close()

    shared.run(run())


def test_an_answer_under_way_is_not_cut_off_by_the_silence_before_it(shared: Served) -> None:
    """Two requests in one packet: the first is answered at once, the second takes its time."""

    async def run() -> None:
        async with listening(
            shared, limits=ConnectionLimits(idle_seconds=0.2), others_take_seconds=0.6
        ) as server:
            line = await server.connect()
            await line.ask()
            line.writer.write(request("GET", URL) + request("GET", "/v1/health"))

            answers = [await line.read(), await line.read()]

            assert [answer.status for answer in answers] == [200, 200]
            assert await line.ended()
            line.writer.close()

    shared.run(run())


def test_a_server_that_stops_closes_what_was_answered_at_once(shared: Served) -> None:
    """Graceful shutdown waits for responses under way, and there is none."""

    async def story(server: Server, line: Line) -> None:
        await line.ask()
        server.connections[0].shutdown()
        assert await line.ended()

    told(shared, story)


def test_a_bug_is_ours_and_not_the_callers(shared: Served) -> None:
    """The parser would call an exception in its callback a bad request."""

    class Broken(HotPath):
        def __init__(self) -> None:
            pass

        def answer(self, path: str, query: bytes, headers: Headers) -> bytes | None:
            raise ZeroDivisionError

    async def story(server: Server, line: Line) -> None:
        assert (await line.ask()).status == 200
        assert len(server.asgi) == 2

    told(shared, story, hot=Broken())
