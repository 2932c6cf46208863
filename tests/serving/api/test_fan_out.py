"""Many subscribers: a batch reaches all of them, and neither they nor a late one delay anything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agentflow.errors import TooManyStreamsError
from serving.http.connections import ConnectionLimits
from serving.push.event_stream import EventStreams
from serving.push.subscribers import Subscribers
from serving.server.app import AccessOptions
from tests.serving.api.conftest import Served, Wire, order, serving
from tests.serving.api.test_protocol import DEADLINE_SECONDS, Line, listening, request

STREAMS = 200
EVENTS = 1_000
LIMITS = ConnectionLimits(per_address=0, stall_seconds=DEADLINE_SECONDS)


async def messages(line: Line, count: int) -> bytes:
    """Read until *count* events have come; return what was sent, without its framing."""
    text = bytearray()
    while text.count(b"}\n\n") < count:
        text += await asyncio.wait_for(line.reader.read(2**20), DEADLINE_SECONDS)
    lines = (part for part in text.split(b"\n") if part.startswith(b"data: "))
    return b"\n".join(lines)


def test_a_batch_is_rendered_once_for_all_streams_and_others_are_answered_meanwhile(
    served: Served,
) -> None:
    """200 streams and one batch of 1,000 events once held the event loop for 7.6 seconds."""
    pages = served.api.context.event_streams.pages

    async def run() -> tuple[list[bytes], int]:
        async with listening(served, limits=LIMITS) as server:
            lines = [await server.connect(limit=2**18) for _ in range(STREAMS)]
            deaf = await server.connect(limit=2**12)
            for line in (*lines, deaf):
                line.writer.write(request("GET", "/v1/stream/events"))
                await line.reader.readuntil(b"retry: 1000\n\n")
            client, sender = await server.connect(), await server.connect()
            await client.ask()

            reading = asyncio.gather(*(messages(line, EVENTS) for line in lines))
            body = json.dumps([order(f"O{number}") for number in range(EVENTS)])
            sender.writer.write(request("POST", "/v1/events", body=body))
            assert (await sender.read()).status == 200
            between = 0
            while not reading.done():
                await client.ask()
                between += 1
            for line in (*lines, deaf, client, sender):
                line.writer.close()
            return await reading, between

    received, between = served.run(run())

    assert said(received[0]) == [f"O{number}" for number in range(EVENTS)]
    assert all(found == received[0] for found in received)
    assert pages.rendered == EVENTS
    assert between >= 3  # the same loop also plays all the clients


def test_a_stream_that_fell_far_behind_misses_nothing(served: Served) -> None:
    """It is served from the log when memory has moved on, without a gap or a repeat."""
    ring, count = 64, 1_500

    async def run() -> tuple[list[str], list[str], int]:
        streams = EventStreams(served.platform, ring_events=ring)

        def opened(last_id: str | None = None) -> AsyncIterator[bytes]:
            return streams.open("default", types=frozenset(), from_start=False, last_id=last_id)

        slow, quick = opened(), opened()
        await anext(slow)
        await anext(quick)
        came: list[str] = []
        for start in range(0, count, 50):
            batch = [order(f"O{number}") for number in range(start, start + 50)]
            await served.client.post("/v1/events", json=batch)
            while len(came) < start + 50:
                came += said(await anext(quick))
        half: list[str] = []
        while len(half) < count // 2:
            text = await anext(slow)
            half += said(text)
        last_id = text.rstrip().rsplit(b"id: ", 1)[1].partition(b"\n")[0].decode()
        resumed = opened(last_id)
        while len(half) < count:
            half += said(await anext(resumed))
        streams.close()
        return came, half, streams.pages.rendered

    came, half, rendered = served.run(run())

    assert came == half == [f"O{number}" for number in range(count)]
    assert rendered <= 2 * count


def said(text: bytes) -> list[str]:
    """Return the ids of the events in a part of a stream."""
    lines = [line for line in text.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line[6:])["id"] for line in lines]


def test_streams_from_the_start_share_what_was_read_of_the_log(tmp_path: Path) -> None:
    """After a restart every page comes back at once."""
    with serving(tmp_path) as before:
        before.send(*(order(f"O{number}") for number in range(600)))
    with serving(tmp_path) as served:

        async def run() -> list[list[dict[str, Any]]]:
            wires = [Wire(served, "/v1/stream/events?from=start") for _ in range(10)]
            for wire in wires:
                await wire.__aenter__()
            found = [await wire.messages(600) for wire in wires]
            for wire in wires:
                await wire.__aexit__()
            return found

        received = served.run(run())
        rendered = served.api.context.event_streams.pages.rendered

    assert all(found == received[0] for found in received)
    assert rendered == 600


def test_one_key_has_only_so_many_streams(tmp_path: Path) -> None:
    """And the others still have theirs."""
    access = AccessOptions(streams=5, streams_per_key=3)
    with serving(tmp_path, keys="k-a:acme,k-b:acme", access=access) as served:

        async def run() -> list[Any]:
            url = "/v1/stream/events"
            wires = [Wire(served, url, x_api_key="k-a") for _ in range(3)]
            wires += [Wire(served, "/v1/stream/metrics", x_api_key="k-b") for _ in range(2)]
            for wire in wires:
                await wire.__aenter__()
                assert wire.status == 200
                assert b"retry" in (await wire.next_bytes())
            refused = [
                await served.client.get(url, headers={"X-API-Key": key}) for key in ("k-a", "k-b")
            ]
            for wire in wires:
                await wire.__aexit__()
            async with Wire(served, url, x_api_key="k-a") as again:
                assert again.status == 200
            return refused

        refused = served.run(run())

    assert [answer.status_code for answer in refused] == [429, 429]
    assert [answer.json()["code"] for answer in refused] == ["too_many_streams"] * 2
    assert all("retry-after" in answer.headers for answer in refused)


def test_a_few_streams_are_served_in_each_turn_of_the_loop_and_each_gets_its_turn() -> None:
    """What else the loop has to do comes between them."""

    async def run() -> list[int]:
        subscribers, served, after_turns = Subscribers(), 0, [0]

        async def stream() -> None:
            nonlocal served
            await subscribers.turn()
            served += 1

        streams = [asyncio.create_task(stream()) for _ in range(100)]
        streams[50].cancel()
        while after_turns[-1] < 99:
            await asyncio.sleep(0)
            after_turns.append(served)
        return [after - before for before, after in pairwise(after_turns)]

    each_turn = asyncio.run(run())

    assert max(each_turn) <= 8
    assert sum(each_turn) == 99


def test_whoever_leaves_is_forgotten() -> None:
    """Or a key would run out of streams it does not have."""
    subscribers = Subscribers(limit=2, each=1)
    with subscribers.entered("a"):
        with pytest.raises(TooManyStreamsError):
            subscribers.require_room("a")
        subscribers.require_room("b")

    subscribers.require_room("a")
