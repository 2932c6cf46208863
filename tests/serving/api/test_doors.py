"""Attacks on the doors, over real sockets: each costs the attacker a connection and nobody else.

Time-outs are tenths of seconds here; the defaults are in `docs/reference/configuration.md`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable
from itertools import cycle, pairwise

import pytest

from serving.http.connections import ConnectionLimits, network
from tests.serving.api.conftest import Served
from tests.serving.api.test_protocol import DEADLINE_SECONDS, URL, Line, Server, listening, request

QUICK = ConnectionLimits(
    header_seconds=0.2, body_seconds=0.2, idle_seconds=0.2, stall_seconds=0.3, header_bytes=8_192
)
Story = Callable[[Server], Awaitable[None]]


def attacked(served: Served, story: Story, *, limits: ConnectionLimits = QUICK) -> None:
    """Run *story* against a server with *limits*."""

    async def run() -> None:
        async with listening(served, limits=limits) as server:
            await story(server)

    served.run(run())


async def refusal(line: Line) -> tuple[int, str]:
    """Read why the connection ends, and that it does."""
    answer = await line.read()
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert await line.ended()
    line.writer.close()
    return answer.status, json.loads(answer.body)["code"]


async def trickle(line: Line, data: bytes) -> None:
    """Send *data* again and again, a little at a time, until the server has had enough."""
    try:
        while not line.reader.at_eof():
            line.writer.write(data)
            await line.writer.drain()
            await asyncio.sleep(0.02)
    except ConnectionError:
        return


@pytest.mark.parametrize(
    "flood",
    [
        b"x-long: " + b"a" * 2**20,
        b"".join(b"x-%d: 1\r\n" % number for number in range(50_000)),
        b"a" * 2**20 + b": 1\r\n",
    ],
    ids=["value", "many", "name"],
)
def test_headers_without_an_end_are_refused_before_they_are_read(
    shared: Served, flood: bytes
) -> None:
    """A header of 96 MB once stopped everybody for 21 seconds."""

    async def story(server: Server) -> None:
        line = await server.connect()
        line.writer.write(b"GET /v1/catalog HTTP/1.1\r\nhost: localhost\r\n" + flood)

        assert await refusal(line) == (431, "headers_too_large")
        assert server.asgi == []

    attacked(shared, story)


@pytest.mark.parametrize("size", [8_000, 8_400])
def test_the_limit_of_headers_is_exact(shared: Served, size: int) -> None:
    """However they are cut into packets."""

    async def story(server: Server) -> None:
        for pause in (0, 1_000):
            line = await server.connect()
            sent = request("GET", "/v1/health/live", x_long="a" * size)
            for start in range(0, len(sent), pause or len(sent)):
                line.writer.write(sent[start : start + (pause or len(sent))])
                await asyncio.sleep(0)
            assert (await line.read()).status == (200 if size < 8_192 else 431)
            line.writer.close()

    attacked(shared, story)


def test_trailers_without_an_end_are_refused_and_none_is_a_header(shared: Served) -> None:
    """They come behind the body, when nobody expects headers any more."""

    async def story(server: Server) -> None:
        line = await server.connect()
        line.writer.write(
            b"POST /v1/dry-run HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
            b"2\r\n{}\r\n0\r\nx-long: " + b"a" * 2**20
        )

        assert await refusal(line) == (431, "headers_too_large")

    attacked(shared, story)


def test_a_request_that_never_ends_is_given_up(shared: Served) -> None:
    """Slowloris: one header line now and then, so that something is always on its way."""

    async def story(server: Server) -> None:
        line = await server.connect()
        line.writer.write(b"GET /v1/catalog HTTP/1.1\r\nhost: localhost\r\n")
        sending = asyncio.create_task(trickle(line, b"x: y\r\n"))

        assert await refusal(line) == (408, "request_timeout")
        await sending
        assert server.asgi == []

    attacked(shared, story)


def test_a_body_that_never_ends_is_given_up(shared: Served) -> None:
    """One byte now and then is not the pace of a client that has something to say."""

    async def story(server: Server) -> None:
        line = await server.connect()
        line.writer.write(
            b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n"
        )
        sending = asyncio.create_task(trickle(line, b" "))

        assert await refusal(line) == (408, "request_timeout")
        await sending

    attacked(shared, story)


def test_a_body_that_is_answered_before_it_came_is_not_read_without_end(shared: Served) -> None:
    """The sender gets its answer and some time to notice."""

    async def story(server: Server) -> None:
        line = await server.connect()
        line.writer.write(
            b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\n"
        )
        assert (await line.read()).status == 413
        await asyncio.wait_for(trickle(line, b" " * 1_000), DEADLINE_SECONDS)

    attacked(shared, story)


@pytest.mark.parametrize("said", [b"", b"\r\n"], ids=["nothing", "blank lines"])
def test_who_connects_and_asks_nothing_is_hung_up_on(shared: Served, said: bytes) -> None:
    """Blank lines before a request are allowed, and are not a request."""

    async def story(server: Server) -> None:
        line = await server.connect()
        if said:
            await asyncio.wait_for(trickle(line, said), DEADLINE_SECONDS)
        assert await line.ended()
        assert len(server.open) == 0
        line.writer.close()

    attacked(shared, story)


def test_what_is_not_http_is_told_so(shared: Served) -> None:
    """As a problem, like everything else that is wrong."""

    async def story(server: Server) -> None:
        line = await server.connect()
        line.writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")

        assert await refusal(line) == (400, "request_invalid")

    attacked(shared, story)


def test_one_address_has_only_so_many_connections(shared: Served) -> None:
    """And gets room again when one of them ends."""
    limits = ConnectionLimits(per_address=3)

    async def story(server: Server) -> None:
        lines = [await server.connect() for _ in range(3)]
        for line in lines:
            assert (await line.ask(url="/v1/health/live")).status == 200

        assert await refusal(await server.connect()) == (503, "too_many_connections")

        lines[0].writer.close()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(server.open) == 3:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.001)
        lines[0] = await server.connect()
        assert (await lines[0].ask(url="/v1/health/live")).status == 200
        for line in lines:
            line.writer.close()

    attacked(shared, story, limits=limits)


def test_when_all_connections_are_taken_the_idle_one_makes_room(shared: Served) -> None:
    """An attacker with many addresses may hold all of them; it does not have to use them."""
    limits = ConnectionLimits(connections=3, per_address=0)

    async def story(server: Server) -> None:
        oldest = await server.connect()
        streams = [await server.connect() for _ in range(2)]
        for line in streams:
            line.writer.write(request("GET", "/v1/stream/metrics"))
            await line.reader.readuntil(b"retry")

        fresh = await server.connect()
        assert (await fresh.ask(url="/v1/health/live")).status == 200
        assert await oldest.ended()

        fresh.writer.write(request("GET", "/v1/stream/metrics"))
        await fresh.reader.readuntil(b"retry")
        assert await refusal(await server.connect()) == (503, "too_many_connections")
        for line in (oldest, fresh, *streams):
            line.writer.close()

    attacked(shared, story, limits=limits)


def test_addresses_of_one_household_count_as_one() -> None:
    """Of IPv6 anybody has 2^64."""
    assert network("2001:db8::1") == network("2001:db8::ffff:1")
    assert network("2001:db8:0:1::1") != network("2001:db8:0:2::1")
    assert network("fe80::1%eth0") == "fe80::/64"
    assert network("::ffff:192.0.2.1") == "192.0.2.1"


def test_thousands_of_requests_in_one_packet_do_not_keep_others_waiting(shared: Served) -> None:
    """The loop turns between a few of them: other connections are answered meanwhile."""
    count = 2_000

    async def story(server: Server) -> None:
        greedy, other = await server.connect(limit=2**20), await server.connect()
        assert (await other.ask()).status == 200
        greedy.writer.write(request("GET", URL) * count)
        reading = asyncio.create_task(_read_all(greedy, count))

        turns = [time.thread_time()]
        while not reading.done():
            await asyncio.sleep(0)
            turns.append(time.thread_time())

        assert await reading == count
        longest = max(after - before for before, after in pairwise(turns))
        assert longest < (turns[-1] - turns[0]) / 20
        assert (await other.ask()).status == 200
        for line in (greedy, other):
            line.writer.close()

    gc.disable()  # it would take a turn as long as the fault does
    try:
        attacked(shared, story, limits=ConnectionLimits())
    finally:
        gc.enable()


async def _read_all(line: Line, count: int) -> int:
    for number in range(count):
        assert (await line.read()).status == 200, number
    return count


def test_a_receiver_that_takes_nothing_is_hung_up_on(shared: Served) -> None:
    """It holds memory, and whatever it was sent would be old."""

    async def story(server: Server) -> None:
        line = await server.connect(limit=2**12)
        for _ in range(40):
            line.writer.write(request("GET", "/openapi.json"))
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(server.open):  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)
        line.writer.close()

    attacked(shared, story)


def test_a_stream_behind_which_more_was_asked_ends_with_its_connection(shared: Served) -> None:
    """A request that waits behind a stream once hid the end of the connection from the stream."""
    streams = shared.api.context.metric_streams

    async def story(server: Server) -> None:
        line = await server.connect()
        line.writer.write(request("GET", "/v1/stream/metrics") + request("GET", "/v1/catalog") * 2)
        await line.reader.readuntil(b"retry")
        assert streams.subscribers == 1

        server.connections[-1].transport.abort()

        async with asyncio.timeout(DEADLINE_SECONDS):
            while streams.subscribers:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.001)
        line.writer.close()

    attacked(shared, story, limits=ConnectionLimits())


def test_two_hundred_attackers_at_once_do_not_disturb_a_client(shared: Served) -> None:
    """Half of them slow, half of them greedy: the client is answered until all are gone."""

    async def story(server: Server) -> None:
        client = await server.connect()
        lines = [await server.connect() for _ in range(200)]
        slow, greedy = b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nx: " + b"a" * 2**17
        for line, beginning in zip(lines, cycle((slow, greedy)), strict=False):
            line.writer.write(beginning)

        answered = 0
        while len(server.open) > 1:
            assert (await client.ask()).status == 200
            answered += 1

        assert answered > 20
        for line in (client, *lines):
            line.writer.close()

    attacked(shared, story, limits=ConnectionLimits(header_seconds=0.5, header_bytes=8_192))


def test_nothing_is_looked_at_while_nobody_is_connected(shared: Served) -> None:
    """A server that nobody uses sleeps."""

    async def run() -> None:
        async with listening(shared, limits=QUICK) as server:
            line = await server.connect()
            line.writer.close()
            async with asyncio.timeout(DEADLINE_SECONDS):
                while len(server.open) or server.open.sweeping:  # noqa: ASYNC110 - see above
                    await asyncio.sleep(0.01)

    shared.run(run())


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"content-length: 1x", "the Content-Length is not a number"),
        (b"x: a\x00b", "the value of a header has a character that none may have"),
        (b"x y: a", "the name of a header has a character that none may have"),
        (
            b"transfer-encoding: chunked\r\n\r\nzz",
            "the size of a chunk is not a hexadecimal number",
        ),
        (b"content-length: 1\r\ncontent-length: 2", "it has two Content-Lengths"),
    ],
)
def test_what_is_wrong_with_a_request_that_is_not_http_is_named(
    shared: Served, head: bytes, said: str
) -> None:
    """Looking at what the client sends begins somewhere."""

    async def story(server: Server) -> None:
        line = await server.connect()
        line.writer.write(b"POST /v1/dry-run HTTP/1.1\r\nhost: localhost\r\n" + head + b"\r\n\r\n")

        detail = json.loads((await line.read()).body)["detail"]
        line.writer.close()

        assert detail == f"the request is not valid HTTP/1.1: {said}"

    attacked(shared, story)
