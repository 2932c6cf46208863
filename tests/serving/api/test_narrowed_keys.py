"""A key for which only some contracts exist: the others are answered like what does not exist.

The shop has canaries beside its contracts, in every kind, and events and dead letters of them. Keys
that may see none of them walk every request of the reference, with names near those of canaries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest

from agentflow.lint import load
from control_store.keys.issuing import NewKey
from serving.api.resource import Operation
from serving.server.app import OPERATIONS
from tests.fakes.few_metrics import few_metrics
from tests.serving.api.conftest import Wire, order
from tests.serving.api.stored import Vault, vault

CANARIES = {
    "events/canary.hatched.v1.yaml": """
kind: event
name: canary.hatched
version: 1
status: approved
owner: canary_team
description: A canary hatched.
key: order_id
fields:
  order_id: {type: string, required: true, max_length: 64, description: The canary's order.}
  canary_color: {type: string, enum: [canary_yellow, canary_green], description: Of a canary.}
""",
    "metrics/canary_count.v1.yaml": """
kind: metric
name: canary_count
version: 1
status: approved
owner: canary_team
description: Canaries that hatched.
unit: canaries
value: count(canary.hatched)
moved_by: [canary.hatched@1]
dimensions: [canary_color]
windows: [1h, all]
examples:
  - name: a canary
    given:
      - canary.hatched: {order_id: A}
    then: {"": 1}
tags: [canary]
""",
    "metrics/order_count.v2.yaml": """
kind: metric
name: order_count
version: 2
status: proposed
owner: canary_team
description: A canary of a definition.
unit: orders
value: count(order.created) filter (where channel = 'web')
moved_by: [order.cancelled@1, order.created@1]
dimensions: [country]
windows: [1h, all]
examples:
  - name: a canary
    given:
      - order.created: {order_id: A, amount: "1.00", currency: EUR, channel: web}
    then: {"": 1}
tags: [canary]
""",
    "entities/canary.v1.yaml": """
kind: entity
name: canary
version: 1
status: approved
owner: canary_team
description: A canary.
key: order_id
sources:
  - event: canary.hatched@1
    key: order_id
    sets: {canary_color: canary_color}
""",
}
HATCHED = {
    "specversion": "1.0",
    "id": "c-1",
    "source": "/shop",
    "type": "canary.hatched",
    "data": {"order_id": "o-1", "canary_color": "canary_yellow"},
}
NEAR = {
    "name": ("order_count", "canari_count", "order_count@2", "Canari_coun"),
    "kind": ("metric", "event", "entity"),
    "version": ("1", "2"),
    "type": ("order", "canari"),
    "id": ("o-1", "c-1"),
    "event": ("order.created", "canari.hatched"),
    "event_id": ("o-1", "c-1"),
}
QUERIES: Mapping[str, tuple[str, ...]] = {
    "/v1/search": ("q=hatched", "q=a", "q=count", "q=colour", "q=team"),
    "/v1/contracts/diff": ("kind=metric&name=order_count&from=1&to=2",
                           "kind=event&name=order.created&from=1&to=1",
                           "kind=metric&name=order_count&from=1&to=1"),
    "/v1/contracts/{kind}/{name}/{version}": tuple(
        f"format={each}" for each in ("json", "yaml", "json-schema", "avro", "asyncapi", "odcs",
                                      "osi", "mermaid", "dot", "docs", "canari")),
    "/v1/metrics/{name}": ("", "canari_color=x", "by=canari_color", "window=9h", "version=2",
                           "explain=full", "as_of=2026-09-21T14:13:20Z", "country=canari"),
    "/v1/deadletter": ("", "type=canari.hatched", "reason=field_missing"),
    "/v1/entity/{type}/{id}": ("", "timeline=true"),
    "/v1/lineage/event/{event_id}": ("source=/shop",),
    "/v1/lineage/metric/{name}": ("", "version=2"),
}  # fmt: skip
BODIES: Mapping[str, tuple[object, ...]] = {
    "/v1/batch": ({"items": [{"metric": "canari_count"}, {"metric": "order_count", "version": 2},
                             {"metric": "order_count", "by": ["canari_color"]}]},),
    "/v1/events": ([{**HATCHED, "type": "canari.hatched", "id": "x"}, order("o-3", canari=1)],
                   {**HATCHED, "type": "canari.hatched", "id": "y"}),
    "/v1/dry-run": ({**HATCHED, "type": "canari.hatched"}, order("o-4")),
    "/v1/contracts/{event}/validate": ({"order_id": "1", "canari_color": "x"},),
    "/v1/deadletter/replay": ({}, {"type": "canari.hatched"}),
    "/v1/deadletter/{offset}/fix": ({"event": {**HATCHED, "type": "canari.hatched"}},
                                    {"set": {"/type": "canari.hatched"}}),
    "/v1/keys": ({"name": "x", "scopes": ["metrics:read"], "metrics": ["canari_count"]},),
}  # fmt: skip


@pytest.fixture(scope="module")
def aviary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """Serve the shop with canaries, in which something of each kind has happened."""
    directory = tmp_path_factory.mktemp("canaries")
    contracts = few_metrics(directory / "contracts", {"order_count", "revenue"})
    for name, text in CANARIES.items():
        (contracts / name).write_text(text)
    with vault(directory / "data", registry=load(contracts), keys="boss:acme") as door:
        wrong = {**HATCHED, "id": "c-2", "data": {"canary_color": "blue"}}
        events = [order("o-1"), HATCHED, wrong, order("o-2", amount="x")]
        door.served.send(*events, headers={"X-API-Key": "boss"})
        yield door


@pytest.fixture(scope="module")
def narrowed(aviary: Vault) -> dict[str, NewKey]:
    """Two keys that may see no canary: one for which one metric exists, and one that may more."""
    return {
        "one metric": aviary.make(
            "metrics:read", metrics=("order_count",), statuses=("approved",)
        ),
        "one of each": aviary.make(
            "read", "write", "deadletters:triage", metrics=("order_count",),
            entities=("order",), events=("order.created",), statuses=("approved",),
        ),
    }  # fmt: skip


def answers(
    door: Vault, operation: Operation, key: NewKey
) -> Iterator[tuple[str, httpx2.Response]]:
    """Send an operation with everything that could lead near a canary."""
    for path in addresses(operation.address, offsets(door)):
        for query in QUERIES.get(operation.address, ("",)):
            for body in BODIES.get(operation.address, (None,) if not operation.sends else ({},)):
                target = f"{path}?{query}" if query else path
                headers = {"X-API-Key": key.text}
                options = {} if body is None else {"json": body}
                answer = door.served.request(operation.method, target, headers=headers, **options)
                yield f"{operation.method} {target} {body}", answer


def addresses(address: str, numbers: list[str]) -> list[str]:
    """Return the addresses of an operation, with each of the names near canaries."""
    found = [address]
    for name in re.findall(r"\{(\w+)\}", address):
        values = numbers if name == "offset" else NEAR[name]
        if address.startswith("/v1/keys"):
            values = ("key_0",)
        if address.startswith("/v1/contracts/{kind}") and name == "name":
            values = ("order_count", "canari_count", "order.created", "canari.hatched", "order")
        found = [each.replace(f"{{{name}}}", value) for each in found for value in values]
    return found


def offsets(door: Vault) -> list[str]:
    listed = door.served.get("/v1/deadletter", headers={"X-API-Key": "boss"}).json()
    return [str(letter["offset"]) for letter in listed["dead_letters"]]


@pytest.mark.parametrize("who", ["one metric", "one of each"])
def test_no_canary_is_in_any_answer(aviary: Vault, narrowed: dict[str, NewKey], who: str) -> None:
    """Neither in a list, nor in a hint, nor in a document, nor in a header."""
    sung, seen = [], 0
    for operation in OPERATIONS:
        if operation.path.startswith(("/page", "/favicon", "/v1/stream")) or operation.path == "/":
            continue
        for asked, answer in answers(aviary, operation, narrowed[who]):
            seen += 1
            text = f"{answer.text} {answer.headers}"
            assert answer.status_code < 500, (asked, answer.text)
            if "canary" in text.lower():
                place = text.lower().index("canary")
                sung.append((asked, answer.status_code, text[max(place - 90, 0) : place + 60]))

    assert sung == []
    assert seen > 150


def test_the_walk_would_hear_a_canary(aviary: Vault) -> None:
    """An administrator's walk is full of them: the law above can fail."""
    boss = NewKey(aviary.make().key, "boss")
    heard = {
        operation.address
        for operation in OPERATIONS
        if operation.described and not operation.path.startswith("/v1/stream")
        for _, answer in answers(aviary, operation, boss)
        if "canary" in answer.text.lower()
    }

    assert heard >= {
        "/v1/metrics", "/v1/catalog", "/v1/graph", "/v1/search", "/v1/contracts", "/v1/batch",
        "/v1/events", "/v1/dry-run", "/v1/deadletter", "/v1/lineage/event/{event_id}",
        "/v1/lineage/metric/{name}", "/v1/metrics/{name}", "/v1/verify", "/v1/entity/{type}/{id}",
        "/v1/contracts/{kind}/{name}", "/v1/contracts/{kind}/{name}/{version}", "/llms.txt",
        "/v1/contracts/{event}/validate", "/v1/deadletter/{offset}",
    }  # fmt: skip


PHANTOMS = [
    "/v1/metrics/{}",
    "/v1/lineage/metric/{}",
    "/v1/contracts/metric/{}",
    "/v1/contracts/metric/{}/1",
    "/v1/contracts/diff?kind=metric&name={}&from=1&to=1",
    "/v1/entity/{}/o-1",
    "/v1/contracts/entity/{}",
    "/v1/stream/metrics?metric={}",
    "/v1/stream/events?type={}",
    "/v1/contracts/event/{}",
    "/v1/search?q={}",
    "/v1/deadletter?type={}",
]


@pytest.mark.parametrize("who", ["one metric", "one of each"])
def test_what_does_not_exist_for_a_key_is_answered_like_what_does_not_exist(
    aviary: Vault, narrowed: dict[str, NewKey], who: str
) -> None:
    """To the byte, but for the name that was asked for."""
    names = {"canary_count": "zanary_count", "canary.hatched": "zanary.hatched", "canary": "zanary"}

    def told(target: str, name: str) -> tuple[int, str]:
        headers = {"X-API-Key": narrowed[who].text, "X-Request-Id": "same"}
        answer = aviary.served.get(target.format(name), headers=headers)
        return answer.status_code, answer.text.replace(name, "NAME")

    for target in PHANTOMS:
        for canary, phantom in names.items():
            assert told(target, canary) == told(target, phantom), target


def test_events_that_may_not_be_sent_are_answered_like_events_that_do_not_exist(
    aviary: Vault, narrowed: dict[str, NewKey]
) -> None:
    """And leave nothing behind: neither an event nor a dead letter, for anyone to find."""
    key, before = narrowed["one of each"], offsets(aviary)

    def sent(path: str, name: str) -> tuple[int, str]:
        event = {**HATCHED, "id": f"new-{len(name)}", "type": name}
        answer = aviary.served.post(
            path, json=event, headers={"X-API-Key": key.text, "X-Request-Id": "same"}
        )
        document = answer.json()
        document.pop("token", None)
        return answer.status_code, json.dumps(document).replace(name, "NAME")

    for path in ("/v1/events", "/v1/dry-run"):
        assert sent(path, "canary.hatched") == sent(path, "zanary.hatched")
    allowed = aviary.served.send(order("o-9"), headers={"X-API-Key": key.text})

    assert allowed["accepted"] == 1
    assert offsets(aviary) == before
    count = aviary.served.get("/v1/metrics/canary_count?window=all", headers={"X-API-Key": "boss"})
    assert count.json()["value"] == 1


def test_streams_have_what_exists_for_the_key(aviary: Vault, narrowed: dict[str, NewKey]) -> None:
    """All metrics are those that exist; and events of other types pass by."""
    text = narrowed["one of each"].text

    async def read() -> list[dict[str, Any]]:
        async with Wire(aviary.served, "/v1/stream/metrics", x_api_key=text) as wire:
            metrics = await wire.messages(1)
            assert await wire.quiet()
        url = "/v1/stream/events?from=start"
        async with Wire(aviary.served, url, x_api_key=text) as wire:
            events = await wire.messages(1)
            assert await wire.quiet() or "canary" not in str(wire._text)  # noqa: SLF001
        return [*metrics, *events]

    metric, event = aviary.served.run(read())

    assert (metric["data"]["metric"], event["data"]["type"]) == ("order_count", "order.created")


def test_an_answer_is_not_told_again_to_a_key_that_is_told_less(
    aviary: Vault, narrowed: dict[str, NewKey]
) -> None:
    """Neither by an idempotency key, nor by what the hot path has prepared."""
    batch = {"items": [{"metric": "canary_count", "window": "all"}]}
    headers = {"Idempotency-Key": "shared"}
    hot = "/v1/metrics/canary_count?window=all"

    whole, less = (
        aviary.served.post("/v1/batch", json=batch, headers={**headers, "X-API-Key": key}).json()
        for key in ("boss", narrowed["one metric"].text)
    )
    statuses = [
        aviary.served.get(hot, headers={"X-API-Key": key}).status_code
        for key in ("boss", narrowed["one metric"].text, "boss", narrowed["one of each"].text)
    ]

    assert whole["answers"][0]["value"] == 1
    assert less["answers"][0]["code"] == "metric_unknown"
    assert statuses == [200, 404, 200, 404]


def test_without_a_key_the_reference_names_no_contract(aviary: Vault) -> None:
    """A key that may see one metric would otherwise be left out to see all of them."""
    for path in ("/openapi.json", "/docs", "/llms.txt"):
        answer = aviary.served.get(path)
        assert answer.status_code == 200
        words = set(re.findall(r"[a-z_]+", answer.text))
        assert not {"canary", "order_count", "canary_count"} & words
        assert answer.headers["vary"] == "X-API-Key"
