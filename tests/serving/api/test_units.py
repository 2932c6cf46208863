"""The unit of money is a currency or null, on every way an answer takes."""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

from typing import Any

from agentflow.clock import to_rfc3339
from serving.read.answer import Answerer
from serving.read.metric_query import check_query as question_of
from serving.table import shown
from tests.serving.api.conftest import NOW_US, Served, Wire, order

REVENUE = "/v1/metrics/revenue"
RANGE = {"start": to_rfc3339(NOW_US - 3_600_000_000), "end": to_rfc3339(NOW_US + 3_600_000_000)}


def over_http(served: Served, **question: str) -> Any:
    return served.get(REVENUE, params=question).json()


def in_a_batch(served: Served, **question: str) -> Any:
    item: dict[str, object] = {"metric": "revenue"}
    if "by" in question:
        item["by"] = [question.pop("by")]
    item["dimensions"] = {name: value or None for name, value in question.items()}
    return served.post("/v1/batch", json={"items": [item]}).json()["answers"][0]


def as_of_now(served: Served, **question: str) -> Any:
    return over_http(served, as_of=to_rfc3339(NOW_US), **question)


def of_a_range(served: Served, **question: str) -> Any:
    return over_http(served, **RANGE, grain="1h", **question)


def explained(served: Served, **question: str) -> Any:
    return over_http(served, explain="full", **question)


def streamed(served: Served, **question: str) -> Any:
    query = "&".join(f"{name}={value}" for name, value in {"metric": "revenue", **question}.items())

    async def first() -> Any:
        async with Wire(served, f"/v1/stream/metrics?{query}") as wire:
            return (await wire.messages(1))[0]["data"]

    return served.run(first())


WAYS = (over_http, in_a_batch, as_of_now, of_a_range, explained, streamed)


def test_the_unit_of_an_exact_zero_is_the_currency_asked_for_or_none(served: Served) -> None:
    """No event says which money it is; the name of a dimension is no unit."""
    for ask in WAYS:
        nothing, euros = ask(served), ask(served, currency="EUR")

        assert (nothing["value"], nothing["unit"]) == ("0.00", None), ask
        assert (euros["value"], euros["unit"]) == ("0.00", "EUR"), ask


def test_the_unit_of_money_is_what_the_events_in_the_answer_have(served: Served) -> None:
    """One currency is a unit; two are none, and each group has its own."""
    served.send(order("A"))
    for ask in WAYS:
        assert ask(served)["unit"] == "EUR", ask
        assert ask(served, country="FR")["unit"] is None, ask

    served.send(order("B", currency="USD"))
    for ask in WAYS:
        two, of_two = ask(served), ask(served, by="country")
        assert (two["value"], two["unit"], of_two["unit"]) == (None, None, None), ask
        assert {group["unit"] for group in (*two["groups"], *of_two["groups"])} == {"EUR", "USD"}


def test_the_unit_after_everything_was_taken_back(served: Served) -> None:
    """What was cancelled leaves nothing that has a currency."""
    served.send(order("A"))
    cancelled = {"order_id": "A", "reason": "customer_request"}
    served.send({"id": "X", "type": "order.cancelled", "source": "/shop", "data": cancelled})

    for ask in WAYS:
        answer = ask(served)
        assert (answer["value"], answer["unit"], answer["events"]) == ("0.00", None, 0), ask


def test_a_dry_run_says_the_currency_of_the_event(served: Served) -> None:
    """The cell it would move has one."""
    moves = served.post("/v1/dry-run", json=order("A")).json()["moves"]

    assert {move["unit"] for move in moves if move["metric"] == "revenue"} == {"EUR"}


def test_a_terminal_shows_a_zero_without_a_unit(served: Served) -> None:
    """`0.00 None` would be worse than nothing."""
    question = question_of(served.platform.definitions, "revenue")

    answer = Answerer(served.platform).answer(question, "default")

    assert shown(answer) == "0.00"


def test_no_answer_calls_a_dimension_its_unit(shared: Served) -> None:
    """Of any metric, in any window, with or without events."""
    for metric in shared.get("/v1/metrics").json()["metrics"]:
        for window in metric["windows"]:
            url = (
                f"/v1/metrics/{metric['name']}?window={window['name']}&version={metric['version']}"
            )
            answer = shared.get(url).json()
            units = [answer["unit"], *(each["unit"] for each in answer["causes"])]
            units += [group["unit"] for group in answer.get("groups", [])]

            assert not set(units) & set(metric["dimensions"]), url
