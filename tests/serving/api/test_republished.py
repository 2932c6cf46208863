"""What outlives a request is bound again, or ended with a reason, when contracts change."""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agentflow.contracts import Registry
from agentflow.contracts.model import EventContract, MetricContract
from processing.publication.publishing import publish
from processing.write.change_feed import VisibleChange
from serving.table import MetricTable
from tests.serving.api.conftest import Served, Wire, serving

SOLD = EventContract(
    kind="event", name="sold", status="approved", owner="docs", description="Sold.",
    fields={"amount": {"type": "integer", "required": True}, "g": {"type": "string"}},  # type: ignore[arg-type]
)  # fmt: skip


def metric(name: str = "sales", **changed: Any) -> MetricContract:
    given: dict[str, Any] = {
        "kind": "metric", "name": name, "status": "approved", "owner": "docs",
        "description": "Sales.", "unit": "pieces", "value": "count(sold)", "moved_by": ("sold@1",),
        "dimensions": ("g",), "windows": ("all", "1h"),
    }  # fmt: skip
    return MetricContract(**{**given, **changed})


DOUBLED = metric(value="sum(sold.amount)", unit="euro")


class Shop:
    """A platform whose contracts change."""

    def __init__(self, served: Served) -> None:
        self.served = served

    async def publish(self, *contracts: Any) -> None:
        """Put other contracts in force, breaking ones too: the API would refuse those."""
        await publish(self.served.platform, Registry.of([SOLD, *contracts]))

    async def sell(self, name: str, amount: int = 7, **data: Any) -> None:
        """Sell something."""
        content = {"amount": amount, **data}
        event = {"id": name, "source": "/s", "type": "sold", "data": content}
        response = await self.served.client.post("/v1/events", json=[event])
        assert response.json()["accepted"] == 1, response.text


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Serve a shop in which two pieces were sold."""
    registry = Registry.of([SOLD, metric(), metric("other")])
    with serving(tmp_path, registry=registry) as served:
        shop = Shop(served)
        served.run(shop.sell("A"))
        served.run(shop.sell("B"))
        yield shop


def test_an_open_stream_follows_a_new_formula(shop: Shop) -> None:
    """The value, unit and fingerprint of one answer belong together, with no event in between."""
    served = shop.served

    async def follow() -> tuple[Any, Any, Any]:
        async with Wire(served, "/v1/stream/metrics?metric=sales") as wire:
            (first,) = await wire.messages(1)
            await shop.publish(DOUBLED, metric("other"))
            (second,) = await wire.messages(1)
            await shop.sell("C")
            (third,) = await wire.messages(1)
        return first["data"], second["data"], third["data"]

    first, second, third = served.run(follow())
    asked = served.get("/v1/metrics/sales").json()

    assert [(each["value"], each["unit"]) for each in (first, second, third)] == [
        (2, "pieces"), (14, "euro"), (21, "euro"),
    ]  # fmt: skip
    assert first["contract"] != second["contract"] == third["contract"] == asked["contract"]


def test_a_stream_without_a_version_follows_the_one_that_is_in_force(shop: Shop) -> None:
    """As a read does: a new approved version is what the name means from then on."""

    async def follow() -> Any:
        async with Wire(shop.served, "/v1/stream/metrics?metric=sales") as wire:
            await wire.messages(1)
            await shop.publish(metric(), DOUBLED.model_copy(update={"version": 2}))
            return (await wire.messages(1))[0]["data"]

    answer = shop.served.run(follow())

    assert (answer["contract"]["version"], answer["value"]) == (2, 14)


def test_a_stream_of_all_metrics_follows_a_new_one(shop: Shop) -> None:
    """Whoever asked for all of them means those of tomorrow too."""

    async def follow() -> list[Any]:
        async with Wire(shop.served, "/v1/stream/metrics") as wire:
            await wire.messages(2)
            await shop.publish(metric(), metric("other"), metric("added"))
            return await wire.messages(3)

    messages = shop.served.run(follow())

    assert [each["data"]["metric"] for each in messages] == ["added", "other", "sales"]


@pytest.mark.parametrize(
    ("query", "left", "code"),
    [
        ("metric=sales", [metric("other")], "metric_unknown"),
        ("metric=sales&window=1h", [metric(windows=("all",))], "window_unknown"),
        ("metric=sales&g=x", [metric(dimensions=())], "dimension_unknown"),
        ("metric=sales&by=g", [metric(dimensions=())], "dimension_unknown"),
    ],
)
def test_a_stream_that_cannot_go_on_ends_and_says_why(
    shop: Shop, query: str, left: list[Any], code: str
) -> None:
    """Silence would look like a quiet day."""

    async def follow() -> Any:
        async with Wire(shop.served, f"/v1/stream/metrics?{query}") as wire:
            await wire.messages(1)
            await shop.publish(*left)
            (last,) = await wire.messages(1)
            await asyncio.wait_for(wire._task, 5)  # type: ignore[arg-type] # noqa: SLF001
            return last

    last = shop.served.run(follow())

    assert (last["event"], last["data"]["code"]) == ("end", code)
    assert last["data"]["hint"]
    assert "id" not in last


def test_an_id_of_other_questions_is_not_taken_for_one_of_these(shop: Shop) -> None:
    """Ids count questions: after a publish the second one may be another metric."""
    served = shop.served

    async def follow() -> tuple[list[Any], list[Any], bool]:
        async with Wire(served, "/v1/stream/metrics") as wire:
            last = (await wire.messages(2))[-1]["id"]
        async with Wire(
            served, "/v1/stream/metrics?metric=sales,other", last_event_id=last
        ) as wire:
            swapped = await wire.messages(2)
        async with Wire(served, "/v1/stream/metrics", last_event_id=last) as wire:
            quiet = await wire.quiet()
        await shop.publish(DOUBLED, metric("other"))
        async with Wire(served, "/v1/stream/metrics", last_event_id=last) as wire:
            return swapped, await wire.messages(2), quiet

    swapped, changed, quiet = served.run(follow())

    assert quiet
    assert [each["data"]["metric"] for each in swapped] == ["sales", "other"]
    assert [each["data"]["value"] for each in changed] == [2, 14]


def test_a_publication_moves_the_metrics_it_changed_and_no_other(shop: Shop) -> None:
    """Whatever follows the change feed hears of it."""
    heard: list[VisibleChange] = []
    shop.served.platform.changes.subscribe(heard.append)

    shop.served.run(shop.publish(DOUBLED, metric("other"), metric("added")))

    (change,) = heard
    assert [(moved.tenant, moved.metric) for moved in change.moved] == [
        ("default", ("added", 1)), ("default", ("sales", 1)),
    ]  # fmt: skip
    assert (list(change.events), len(change.dead_letters)) == ([], 0)


def test_a_read_that_waited_over_a_publish_answers_by_the_new_contract(shop: Shop) -> None:
    """It was checked before it waited, and is checked again before it is answered."""
    served = shop.served

    async def wait() -> Any:
        token = served.platform.tokens.now()
        later = token  # covered: the wait below begins behind a publish that is under way
        reading = asyncio.create_task(
            served.client.get(f"/v1/metrics/sales?at_least={later}", headers={"Prefer": "wait=5"})
        )
        publishing = asyncio.create_task(shop.publish(DOUBLED, metric("other")))
        await asyncio.gather(reading, publishing)
        return (await served.client.get("/v1/metrics/sales")).json(), reading.result().json()

    after, waited = served.run(wait())

    pairs = {2: "pieces", 14: "euro"}
    assert (after["value"], after["unit"]) == (14, "euro")
    assert pairs[waited["value"]] == waited["unit"]


def test_the_table_in_the_terminal_follows(shop: Shop) -> None:
    """It is drawn for as long as the platform runs."""
    table = MetricTable(shop.served.platform, "default")
    before = table.lines()

    shop.served.run(shop.publish(DOUBLED))
    after = table.lines()

    assert [line.split()[:3] for line in before] == [["other", "all", "2"], ["sales", "all", "2"]]
    assert [line.split()[:4] for line in after] == [["sales", "all", "14", "euro"]]
    Console(quiet=True).print(table.render())
