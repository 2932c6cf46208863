"""Every address and member that takes a metric takes it as lists show it: `revenue@1`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.api.conftest import Served, Wire, order

ADDRESSES = {
    "/v1/metrics/{name}": "/v1/metrics/%s",
    "/v1/lineage/metric/{name}": "/v1/lineage/metric/%s",
    "/v1/contracts/{kind}/{name}": "/v1/contracts/metric/%s",
    "/v1/contracts/{kind}/{name}/{version}": "/v1/contracts/metric/%s/1",
    "/v1/contracts/diff": "/v1/contracts/diff?kind=metric&name=%s&from=1&to=1",
    "/v1/stream/metrics": "/v1/stream/metrics?metric=%s",
}


def test_every_address_that_takes_a_name_is_tried(shared: Served) -> None:
    """One that is new and not in the list above may refuse what lists show."""
    paths: dict[str, Any] = shared.get("/openapi.json").json()["paths"]
    taking = {
        path
        for path, item in paths.items()
        for parameter in item.get("get", {}).get("parameters", [])
        if parameter.get("name") in {"name", "metric"}
    }

    assert taking == set(ADDRESSES)


@pytest.mark.parametrize("address", [a for a in ADDRESSES.values() if "stream" not in a])
def test_a_metric_is_read_as_lists_show_it(shared: Served, address: str) -> None:
    """The version that is written, and no other; one that does not exist is refused."""
    found = shared.get(address % "revenue@1")
    escaped = shared.get(address % "revenue%401")
    absent = shared.get(address % "revenue@9")

    assert found.status_code == escaped.status_code == 200
    shown = found.json()
    told = shown.get("contract", shown)
    assert told.get("version", 1) == 1
    assert told.get("name", "revenue") == "revenue"
    assert absent.status_code in {400, 404}
    assert "revenue@9" in absent.json()["detail"]


def test_versions_of_one_metric_are_listed_under_either_name(shared: Served) -> None:
    """Whoever asks by one of them wants to see the others too."""
    found = shared.get("/v1/contracts/metric/revenue@1").json()

    assert [each["version"] for each in found["versions"]] == [1, 2]


def test_a_version_that_contradicts_the_name_is_refused(shared: Served) -> None:
    """Which of both is meant cannot be known."""
    refused = shared.get("/v1/metrics/revenue@1?version=2")

    assert (refused.status_code, refused.json()["code"]) == (400, "parameter_invalid")
    assert refused.json()["detail"] == '"revenue@1" is not version 2'


def test_a_batch_takes_metrics_as_lists_show_them(shared: Served) -> None:
    """Two versions of one metric, of one moment."""
    items = [{"metric": "revenue@1"}, {"metric": "revenue@2"}]

    answers = shared.post("/v1/batch", json={"items": items}).json()["answers"]

    versions = [each["contract"]["version"] for each in answers]
    assert versions == [1, 2]


def test_streams_take_names_as_lists_show_them(served: Served) -> None:
    """Metrics and event types alike; an event of another version is not of that type."""
    served.send(order("a"))

    async def run() -> None:
        async with Wire(served, "/v1/stream/metrics?metric=revenue@1,revenue@2&window=all") as wire:
            told = await wire.messages(2)
        assert {each["data"]["contract"]["version"] for each in told} == {1, 2}
        url = "/v1/stream/events?type=order.created@1&from=start"
        async with Wire(served, url) as wire:
            (event,) = await wire.messages(1)
        assert event["data"]["type"] == "order.created"

    served.run(run())
