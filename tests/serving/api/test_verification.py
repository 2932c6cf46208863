"""Every number against the lake, a page at a time; a check that cannot be done stops no other."""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentflow.contracts import Registry
from agentflow.errors import UnavailableError, ValueTooLargeError
from agentflow.lint import load
from agentflow.metrics import MetricPlan
from agentflow.metrics.sql import QuerySpec
from processing.history import History, MetricRow
from processing.lake import LakeSync, Positions
from tests.serving.api.conftest import CONTRACTS, Served, order, serving


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Served]:
    """A shop in which nothing happened."""
    with serving(tmp_path, registry=few_metrics()) as found:
        parts = found.platform.parts
        yield found
        found.platform.parts = parts


def few_metrics() -> Registry:
    """The shop's events with three of its metrics, of which each kind is one."""
    shop = load(CONTRACTS)
    names = {"order_count", "largest_order", "active_sessions"}
    kept = [contract for contract in shop.contracts() if contract.kind != "metric"]
    return Registry.of([*kept, *(each for each in shop.metrics.values() if each.name in names)])


@pytest.fixture
def shop(quiet: Served) -> Served:
    """The same with an order in euros and one in dollars."""
    quiet.send(order("a"), order("b", "2.50", currency="USD", channel="web"))
    return quiet


@dataclass
class FailingFor:
    """A history in which one metric fails."""

    history: History
    metric: str
    error: Exception

    def rows(self, plan: MetricPlan, question: QuerySpec, *, tail: bool) -> Iterator[MetricRow]:
        if plan.contract.name == self.metric:
            raise self.error
        return self.history.rows(plan, question, tail=tail)


@dataclass
class Unhurried:
    """A history whose rows can only be gone through once a read was answered meanwhile."""

    history: History
    comparing: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)

    def rows(self, plan: MetricPlan, question: QuerySpec, *, tail: bool) -> Iterator[MetricRow]:
        self.comparing.set()
        assert self.answered.wait(10), "no read was answered meanwhile"
        return self.history.rows(plan, question, tail=tail)


@dataclass
class Behind:
    """A lake that does not follow."""

    lake: LakeSync
    failure: BaseException | None
    covered: Positions = field(default_factory=Positions)

    def flush(self, goal: Positions, *, timeout: timedelta) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lake, name)


def windows(answer: dict[str, Any], metric: str) -> list[dict[str, Any]]:
    (found,) = [item for item in answer["metrics"] if item["metric"] == metric]
    listed: list[dict[str, Any]] = found["windows"]
    return listed


def test_a_check_says_both_numbers_how_many_cells_and_how_long(shop: Served) -> None:
    """Both were null, whatever was compared."""
    answer = shop.get("/v1/verify").json()

    everything = [item for item in windows(answer, "order_count") if item["window"] == "1h"]
    by_currency = {
        item["dimensions"]["currency"]: (item["live"], item["recomputed"], item["cells"])
        for item in windows(answer, "largest_order")
        if item["window"] == "24h"
    }
    assert answer["verified"] is True
    assert [(item["live"], item["recomputed"], item["cells"]) for item in everything] == [(2, 2, 2)]
    assert by_currency == {"EUR": ("10.00", "10.00", 2), "USD": ("2.50", "2.50", 2)}
    assert all(item["seconds"] > 0 for item in everything)
    assert answer["numbers"] == sum(item["numbers"] for item in answer["metrics"])


def test_a_number_of_nothing_is_compared_as_well(quiet: Served) -> None:
    """Nothing counted is 0, and the greatest of nothing is null, live and recomputed."""
    answer = quiet.get("/v1/verify").json()

    counted, greatest = windows(answer, "order_count")[0], windows(answer, "largest_order")[0]
    assert (counted["live"], counted["recomputed"], counted["equal"]) == (0, 0, True)
    assert (greatest["live"], greatest["recomputed"], greatest["equal"]) == (None, None, True)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueTooLargeError("too many digits"), "too many digits"),
        (UnavailableError("the query ran longer than 30 s"), "the query ran longer than 30 s"),
        (RuntimeError("who knows"), "RuntimeError: who knows"),
        (MemoryError(), "MemoryError: "),
    ],
)
def test_a_check_that_fails_is_named_and_the_others_are_done(
    shop: Served, error: Exception, reason: str
) -> None:
    """One overflow was a 503 without a name."""
    whole = shop.get("/v1/verify").json()
    parts = shop.platform.parts
    broken: Any = FailingFor(parts.history, "order_count", error)
    shop.platform.parts = replace(parts, history=broken)

    response = shop.get("/v1/verify")

    answer = response.json()
    failed = windows(answer, "order_count")
    assert (response.status_code, answer["verified"]) == (200, False)
    assert {(item["reason"], item["recomputed"], item["equal"]) for item in failed} == {
        (reason, None, None)
    }
    assert [item["live"] for item in failed] == [
        item["live"] for item in windows(whole, "order_count")
    ]
    assert answer["failed"] == len(failed)
    assert answer["done"] == answer["checks"] == whole["checks"]
    assert [item["metric"] for item in answer["metrics"] if item["equal"] is None] == [
        "order_count"
    ]
    assert all(item["equal"] for item in answer["metrics"] if item["metric"] != "order_count")


def test_a_check_that_fails_shows_what_is_live_in_each_currency(shop: Served) -> None:
    """`live: null, equal: false` was read as a number that differs from nothing."""
    parts = shop.platform.parts
    broken: Any = FailingFor(parts.history, "largest_order", ValueTooLargeError("too many digits"))
    shop.platform.parts = replace(parts, history=broken)

    answer = shop.get("/v1/verify").json()

    daily = [item for item in windows(answer, "largest_order") if item["window"] == "24h"]
    assert [
        (item["dimensions"], item["live"], item["recomputed"], item["equal"], item["cells"])
        for item in daily
    ] == [
        ({"currency": "EUR"}, "10.00", None, None, 0),
        ({"currency": "USD"}, "2.50", None, None, 0),
    ]
    assert answer["failed"] < len(windows(answer, "largest_order"))


def test_reads_are_answered_while_rows_are_compared(shop: Served) -> None:
    """100,000 cells held everybody else up for seconds."""
    parts = shop.platform.parts
    unhurried: Any = Unhurried(parts.history)
    shop.platform.parts = replace(parts, history=unhurried)

    async def both() -> tuple[int, dict[str, Any]]:
        verifying = asyncio.ensure_future(shop.client.get("/v1/verify"))
        assert await asyncio.to_thread(unhurried.comparing.wait, 10)
        read = await shop.client.get("/v1/metrics/order_count")
        unhurried.answered.set()
        verified: dict[str, Any] = (await verifying).json()
        return read.status_code, verified

    status, verified = shop.run(both())

    assert status == 200
    assert (verified["verified"], verified["failed"]) == (True, 0)


def test_pages_check_every_window_once(shop: Served) -> None:
    """However long it takes all in all, no request does, and each says how far it is."""
    whole = shop.get("/v1/verify").json()
    found, cursor, done = [], "", 0
    while True:
        page = shop.get(f"/v1/verify?limit=7{cursor}").json()
        found += [
            (item["metric"], item["version"], window["window"], str(window["dimensions"]))
            for item in page["metrics"]
            for window in item["windows"]
        ]
        assert page["done"] in {done + 7, page["checks"]}
        done = page["done"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert done == whole["checks"]
    assert found == [
        (item["metric"], item["version"], window["window"], str(window["dimensions"]))
        for item in whole["metrics"]
        for window in item["windows"]
    ]


@pytest.mark.parametrize("url", ["/v1/verify", "/v1/metrics/order_count?explain=full"])
def test_a_lake_that_is_behind_is_named(shop: Served, url: str) -> None:
    """It was "the lake does not follow", after a minute."""
    parts = shop.platform.parts
    behind: Any = Behind(parts.lake, OSError("no space left on device"))
    shop.platform.parts = replace(parts, lake=behind)

    response = shop.get(url)

    assert response.status_code == 503
    assert response.json()["detail"] == (
        "the lake is behind: it does not hold all events of the log after 60 s;"
        " its last attempt failed: no space left on device"
    )


def test_explain_says_what_the_lake_says(shop: Served) -> None:
    """The recomputed value was a copy of the live one."""
    single = shop.get("/v1/metrics/order_count?explain=full").json()
    split = shop.get("/v1/metrics/largest_order?explain=full&by=channel&currency=USD").json()
    currencies = shop.get("/v1/metrics/largest_order?explain=full").json()

    assert (single["value"], single["recompute"]["value"]) == (2, 2)
    assert (split["value"], split["recompute"]["value"]) == ("2.50", "2.50")
    assert (currencies["value"], currencies["recompute"]["value"]) == (None, None)
    assert all(answer["recompute"]["equal"] for answer in (single, split, currencies))
