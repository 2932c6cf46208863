"""Streams whose connection is cut, again and again."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from agentflow_sdk import AgentFlow, AsyncAgentFlow, NotFoundError, Retry, UnreachableError
from tests.fakes.app import FakeServer
from tests.fakes.serve import served

ORDER = {"order_id": "ORD-1", "amount": "1.00", "currency": "EUR"}


def test_events_come_once_each_although_every_connection_is_cut(
    client: AgentFlow, server: FakeServer
) -> None:
    """The promise: no gap and no repetition, by id."""
    server.cut_after = 3
    sent = [f"e{number}" for number in range(20)]
    for event_id in sent:
        client.send("order.created", ORDER, id=event_id)

    with client.stream_events(from_start=True) as stream:
        got = [next(stream).id for _ in sent]

    assert got == sent
    assert stream.reconnections >= 6


def test_metric_stream_begins_with_the_current_value_and_follows(
    client: AgentFlow, server: FakeServer
) -> None:
    """A dashboard is right from its first line on."""
    server.cut_after = 1
    client.send("order.created", ORDER)

    with client.stream_metrics("revenue", where={"currency": "EUR"}) as stream:
        first = next(stream).value
        client.send("order.created", ORDER)
        second = next(stream).value

    assert (first, second) == (Decimal("1.00"), Decimal("2.00"))


def test_stream_can_go_on_in_another_process(client: AgentFlow) -> None:
    """The resume point is a string that can be stored."""
    for number in range(4):
        client.send("order.created", ORDER, id=f"e{number}")
    with client.stream_events(from_start=True) as stream:
        next(stream)
        next(stream)

    with client.stream_events(last_event_id=stream.last_event_id) as later:
        assert next(later).id == "e2"


def test_stream_that_is_refused_says_so(client: AgentFlow, server: FakeServer) -> None:
    """A mistake is not a cut connection: coming back would not help."""
    server.faults.append((404, "metric_unknown", {}))

    with client.stream_metrics("revenu") as stream, pytest.raises(NotFoundError):
        next(stream)


def test_stream_whose_question_is_gone_ends_with_the_reason(
    client: AgentFlow, url: str, server: FakeServer
) -> None:
    """After a publish nobody may wait for numbers of a metric that is not there any more."""
    server.cut_after, server.end_with = 1, (404, "metric_unknown")

    with client.stream_metrics("revenue") as stream:
        assert next(stream).metric == "revenue"
        with pytest.raises(NotFoundError) as ended:
            next(stream)

    async def run() -> str | None:
        async with (
            AsyncAgentFlow(url) as later,
            later.stream_metrics("revenue") as numbers,
        ):
            await anext(numbers)
            with pytest.raises(NotFoundError) as told:
                await anext(numbers)
            return told.value.code

    assert (ended.value.code, asyncio.run(run())) == ("metric_unknown", "metric_unknown")
    assert stream.reconnections == 0


def test_stream_that_ends_for_now_is_opened_again(client: AgentFlow, server: FakeServer) -> None:
    """A server that is restarting says so; the stream goes on where it was."""
    server.cut_after, server.end_with = 1, (503, "unavailable")
    client.send("order.created", ORDER)

    with client.stream_metrics("revenue", where={"currency": "EUR"}) as stream:
        first = next(stream).value
        client.send("order.created", ORDER)
        second = next(stream).value

    assert (first, second) == (Decimal("1.00"), Decimal("2.00"))
    assert stream.reconnections >= 1


def test_stream_gives_up_when_the_platform_stays_away(server: FakeServer) -> None:
    """A script cannot wait without end."""
    with served(server) as url:
        client = AgentFlow(url, reconnect=Retry(attempts=3, first_delay_seconds=0.001))
        client.send("order.created", ORDER)
        server.cut_after = 1
        stream = client.stream_events(from_start=True)
        next(stream)

    with pytest.raises(UnreachableError):
        next(stream)


def test_asynchronous_stream_resumes_too(url: str, server: FakeServer) -> None:
    """The twins behave alike."""
    server.cut_after = 2

    async def run() -> list[str]:
        async with AsyncAgentFlow(url) as client:
            for number in range(5):
                await client.send("order.created", ORDER, id=f"e{number}")
            async with client.stream_events(from_start=True, type="order.created") as stream:
                return [(await anext(stream)).id for _ in range(5)]

    assert asyncio.run(run()) == [f"e{number}" for number in range(5)]
