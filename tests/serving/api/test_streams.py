"""Streams: pushed, coalesced, resumed without a gap."""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.serving.api.conftest import NOW_US, Served, Wire, order, serving

METRICS = "/v1/stream/metrics?metric=revenue,order_count&window=all"


async def send(served: Served, *events: dict[str, Any], **headers: str) -> None:
    response = await served.client.post("/v1/events", json=list(events), headers=headers)
    assert response.json()["rejected"] == 0, response.text


def test_a_subscriber_first_gets_the_present_answers(served: Served) -> None:
    """A page needs something to show at once."""
    served.send(order("A"))

    async def follow() -> list[dict[str, Any]]:
        async with Wire(served, METRICS) as wire:
            return await wire.messages(2)

    first, second = served.run(follow())

    assert first["event"] == "metric"
    assert [first["data"]["metric"], second["data"]["metric"]] == ["revenue", "order_count"]
    assert first["data"]["value"] == "10.00"


def test_a_move_is_pushed_to_those_whose_metric_it_moves(served: Served) -> None:
    """And to nobody else: a page view moves no revenue."""

    async def follow() -> tuple[list[dict[str, Any]], bool]:
        async with Wire(served, METRICS) as wire:
            await wire.messages(2)
            await send(served, {"id": "v", "type": "page.viewed", "source": "/x",
                                "data": {"session_id": "S", "page": "/"}})  # fmt: skip
            quiet = await wire.quiet()
            await send(served, order("A"))
            return await wire.messages(2), quiet

    messages, quiet = served.run(follow())

    assert quiet
    assert [message["data"]["value"] for message in messages] == ["10.00", 1]


def test_a_slow_subscriber_gets_the_newest_answer_and_costs_nothing(served: Served) -> None:
    """What it could not take in time is not queued: only the present is worth having."""

    async def follow() -> tuple[list[bytes], int]:
        stream = served.api.context.metric_streams.open(
            "default",
            lambda: _asked(served, "order_count"),
            last_id=None,
            told_why=lambda error: str(error).encode(),
        )
        await anext(stream)
        await anext(stream)
        for number in range(200):
            await send(served, order(f"O{number}"))
        text = [await anext(stream)]
        pending = asyncio.ensure_future(anext(stream))
        for _ in range(20):
            await asyncio.sleep(0)
        waiting = not pending.done()
        pending.cancel()
        return text, waiting

    text, waiting = served.run(follow())

    assert text[0].count(b"event: metric") == 1
    assert b'"value":200' in text[0]
    assert waiting


def test_a_subscriber_that_was_away_gets_what_it_missed_and_nothing_else(served: Served) -> None:
    """Resume by id: no gap, no repetition."""

    async def follow() -> tuple[list[dict[str, Any]], bool]:
        async with Wire(served, METRICS) as wire:
            last = (await wire.messages(2))[-1]
        async with Wire(served, METRICS, last_event_id=last["id"]) as wire:
            quiet = await wire.quiet()
        await send(served, order("A"))
        async with Wire(served, METRICS, last_event_id=last["id"]) as wire:
            return await wire.messages(2), quiet

    messages, quiet = served.run(follow())

    assert quiet
    assert [message["data"]["value"] for message in messages] == ["10.00", 1]


def test_a_cut_between_two_messages_of_one_instant_loses_neither(served: Served) -> None:
    """The id of the first says that the second is still owed."""
    served.send(order("A"))

    async def follow() -> list[dict[str, Any]]:
        async with Wire(served, METRICS) as wire:
            first = (await wire.messages(1))[0]
        async with Wire(served, METRICS, last_event_id=first["id"]) as wire:
            messages = await wire.messages(1)
            assert await wire.quiet()
            return messages

    (message,) = served.run(follow())

    assert message["data"]["metric"] == "order_count"


def test_a_window_that_moved_on_while_away_is_sent_again(served: Served) -> None:
    """Time changes numbers too."""
    served.send(order("A"))
    url = "/v1/stream/metrics?metric=order_count&window=5m"

    async def follow() -> list[dict[str, Any]]:
        async with Wire(served, url) as wire:
            last = (await wire.messages(1))[0]
        served.clock.advance(timedelta(minutes=10))
        async with Wire(served, url, last_event_id=last["id"]) as wire:
            return await wire.messages(1)

    (message,) = served.run(follow())

    assert message["data"]["value"] == 0


def test_any_id_that_was_not_given_means_nothing_is_known(served: Served) -> None:
    """Then everything is sent: too much is not wrong, too little is."""

    async def follow(last_id: str) -> int:
        async with Wire(served, METRICS, last_event_id=last_id) as wire:
            return len(await wire.messages(2))

    for last_id in ("x", "a.1.2.3.4", "....", "9" * 400, "x.-1.1.1.1.z", "a.1.2.3.4.5"):
        assert served.run(follow(last_id)) == 2


def test_every_accepted_event_is_pushed_once_and_in_order(served: Served) -> None:
    """Refused ones and duplicates are not."""

    async def follow() -> list[dict[str, Any]]:
        async with Wire(served, "/v1/stream/events") as wire:
            await served.client.post(
                "/v1/events", json=[order("A"), order("X", amount="?"), order("A"), order("B")]
            )
            await send(served, order("C"))
            return await wire.messages(3)

    messages = served.run(follow())

    assert [message["data"]["id"] for message in messages] == ["A", "B", "C"]
    assert [message["data"]["offset"] for message in messages] == [0, 1, 2]
    assert messages[0]["data"]["data"]["order_size"] == "small"


def test_an_event_stream_resumes_behind_the_last_event(served: Served) -> None:
    """From memory or, after a restart or a long absence, from the log."""
    served.send(*(order(f"O{number}") for number in range(600)))

    async def follow() -> tuple[list[str], list[str]]:
        url = "/v1/stream/events?from=start"
        async with Wire(served, url) as wire:
            first = await wire.messages(300)
        async with Wire(served, url, last_event_id=first[-1]["id"]) as wire:
            rest = await wire.messages(300)
            assert await wire.quiet()
        return [m["data"]["id"] for m in first], [m["data"]["id"] for m in rest]

    first, rest = served.run(follow())

    assert first + rest == [f"O{number}" for number in range(600)]


def test_a_stream_reads_the_log_when_memory_does_not_go_back_so_far(tmp_path: Path) -> None:
    """A new process has nothing in memory, and no subscriber may notice."""
    with serving(tmp_path) as before:
        before.send(order("A"), order("B"))
    with serving(tmp_path) as served:

        async def follow() -> list[dict[str, Any]]:
            async with Wire(served, "/v1/stream/events?from=start") as wire:
                await send(served, order("C"))
                return await wire.messages(3)

        messages = served.run(follow())

    assert [message["data"]["id"] for message in messages] == ["A", "B", "C"]


def test_an_event_stream_can_be_narrowed_by_type(served: Served) -> None:
    """Most subscribers want one kind."""

    async def follow() -> list[dict[str, Any]]:
        async with Wire(served, "/v1/stream/events?type=order.cancelled") as wire:
            await send(
                served,
                order("A"),
                {"id": "x", "type": "order.cancelled", "source": "/s", "data": {"order_id": "A"}},
            )
            messages = await wire.messages(1)
            assert await wire.quiet()
            return messages

    assert served.run(follow())[0]["data"]["type"] == "order.cancelled"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("/v1/stream/metrics?metric=revenu", "metric_unknown"),
        ("/v1/stream/metrics?metric=revenue&window=2h", "window_unknown"),
        ("/v1/stream/metrics?metric=revenue&colour=red", "dimension_unknown"),
        ("/v1/stream/metrics?colour=red", "parameter_invalid"),
        ("/v1/stream/metrics?version=1", "parameter_invalid"),
        ("/v1/stream/events?type=order.create", "event_unknown"),
        ("/v1/stream/events?from=yesterday", "parameter_invalid"),
        ("/v1/stream/events?form=start", "parameter_unknown"),
        ("/v1/stream/events?last_event_id=x", "token_invalid"),
    ],
)
def test_a_wrong_stream_is_a_problem_and_not_a_silent_stream(
    shared: Served, url: str, code: str
) -> None:
    """An empty stream looks like a quiet day."""
    assert shared.get(url).json()["code"] == code


@pytest.fixture
def two_tenants(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, keys="k-a:acme,k-u:umbrella") as found:
        yield found


def test_streams_are_of_one_tenant(two_tenants: Served) -> None:
    """Another tenant's events neither appear nor move anything."""
    served = two_tenants

    async def follow() -> tuple[bool, bool]:
        metrics = Wire(served, METRICS, x_api_key="k-u")
        events = Wire(served, "/v1/stream/events?from=start", x_api_key="k-u")
        async with metrics, events:
            await metrics.messages(2)
            await send(served, order("A"), **{"X-API-Key": "k-a"})
            return await metrics.quiet(), await events.quiet()

    assert served.run(follow()) == (True, True)


def test_closing_ends_every_stream(served: Served) -> None:
    """The server must be able to stop while pages are open."""

    async def follow() -> None:
        async with Wire(served, METRICS) as wire:
            await wire.messages(2)
            served.api.close()
            assert wire._task is not None  # noqa: SLF001
            await asyncio.wait_for(wire._task, 5)  # noqa: SLF001

    served.run(follow())

    assert served.api.context.metric_streams.subscribers == 0


def test_many_subscribers_share_one_rendering(served: Served) -> None:
    """Two hundred pages open cost two hundred writes, not two hundred answers."""
    streams = served.api.context.metric_streams

    async def follow() -> set[object]:
        found = [
            streams.open(
                "default",
                lambda: _asked(served, "order_count"),
                last_id=None,
                told_why=lambda error: str(error).encode(),
            )
            for _ in range(200)
        ]
        for stream in found:
            await anext(stream)
            await anext(stream)
        await send(served, order("A"))
        texts = [await anext(stream) for stream in found]
        return {_value(text) for text in texts}

    answers = served.api.context.answers
    question = _asked(served, "order_count")[0]
    assert len(served.run(follow())) == 1
    assert answers.at_once(question, "default") is answers.at_once(question, "default")
    assert served.clock.now_us() == NOW_US


def _value(text: bytes) -> object:
    return json.loads(text.partition(b"data: ")[2])["value"]


def _asked(served: Served, metric: str) -> Any:
    from serving.api.streams import questions

    return questions(served.platform.definitions, {"metric": metric, "window": "all"})


def test_a_status_that_changes_is_pushed_like_a_value(served: Served) -> None:
    """A page that shows the last message must not go on saying what was true then."""
    served.send(order("A"))
    streams = served.api.context.metric_streams
    requests = served.platform.intake._requests  # type: ignore[attr-defined] # noqa: SLF001
    view = {"id": "v", "type": "page.viewed", "source": "/x",
            "data": {"session_id": "S", "page": "/"}}  # fmt: skip

    async def follow() -> list[tuple[str, str]]:
        async with Wire(served, "/v1/stream/metrics?metric=revenue&window=all") as wire:
            messages = await wire.messages(1)
            async with requests.under_way():  # one that does not come to an end
                served.clock.advance(timedelta(seconds=1))
                for subscription in streams._by_tenant["default"]:  # noqa: SLF001 - as a heartbeat
                    subscription.woken.set()
                messages += await wire.messages(1)
            await send(served, view)
            messages += await wire.messages(1)
        return [(each["data"]["status"], each["data"]["groups"][0]["value"]) for each in messages]

    assert served.run(follow()) == [("fresh", "10.00"), ("stale", "10.00"), ("fresh", "10.00")]
