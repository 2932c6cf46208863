"""One spelling for each integer and boolean of every operation, in its path and in its query."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest

from agentflow.contracts import Registry
from serving.api.openapi import openapi_document
from serving.server.app import OPERATIONS
from tests.serving.api.conftest import Served, order, serving
from tests.serving.api.test_dimension_values import SPOKEN, WORDS

INTEGERS = ["1_0", " 10", "010", "+10", "10.0", "\u0661\u0660"]
BOOLEANS = ["yes", "on", "1", "True", "TRUE", " true"]
VALUES = {"kind": "metric", "name": "words", "metric": "words", "by": "g", "from": "1", "to": "1",
          "version": "1", "offset": "1", "type": "visit"}  # fmt: skip


class Place(NamedTuple):
    """A parameter of an operation."""

    method: str
    path: str
    parameter: str
    kind: str
    others: dict[str, str]
    in_path: bool

    def address(self, text: str) -> str:
        """Return a request that is right but for *text*."""
        given = {**self.others, self.parameter: text}
        query = {key: value for key, value in given.items() if f"{{{key}}}" not in self.path}
        path = re.sub(r"\{(\w+)\}", lambda name: quote(given[name[1]], safe=""), self.path)
        return f"{path}?{urlencode(query)}"


def places() -> Iterator[Place]:
    """Yield every integer and boolean that the reference says may be given."""
    document = openapi_document(OPERATIONS, Registry.of([SPOKEN, WORDS]), keyed=False)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            listed = [each for each in operation.get("parameters", ()) if each["in"] != "header"]
            others = {
                each["name"]: VALUES.get(each["name"], "x")
                for each in listed
                if each.get("required") or each["in"] == "path" or each["name"] in {"by", "metric"}
            }
            for each in listed:
                kind = kind_of(each["schema"])
                if kind is not None:
                    named = {name: text for name, text in others.items() if name != each["name"]}
                    yield Place(
                        method.upper(), path, each["name"], kind, named, each["in"] == "path"
                    )


def kind_of(schema: dict[str, Any]) -> str | None:
    for each in schema.get("anyOf", [schema]):
        if each.get("type") in {"integer", "boolean"}:
            kind: str = each["type"]
            return kind
        if "enum" in each and all(isinstance(value, int) for value in each["enum"]):
            return "integer"
    return None


PLACES = list(places())


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    registry = Registry.of([SPOKEN, WORDS])
    with serving(tmp_path_factory.mktemp("spelt"), registry=registry) as found:
        yield found


def test_the_reference_has_integers_and_booleans_in_paths_and_queries() -> None:
    """Else the law below is about nothing."""
    assert {(place.kind, place.in_path) for place in PLACES} >= {
        ("integer", True), ("integer", False), ("boolean", False),
    }  # fmt: skip
    assert len({place.path for place in PLACES}) > 10


@pytest.mark.parametrize("place", PLACES, ids=lambda it: f"{it.method} {it.path} {it.parameter}")
def test_every_other_spelling_is_refused_with_the_one_that_works(
    spoken: Served, place: Place
) -> None:
    """Two spellings of one request are two addresses of one thing."""
    content = {"set": {"/data/x": 1}} if place.path.endswith("/fix") else {}
    body = {"json": content} if place.method == "POST" else {}
    for text in INTEGERS if place.kind == "integer" else BOOLEANS:
        refused = spoken.request(place.method, place.address(text), **body)
        problem = refused.json()
        assert (refused.status_code, problem["code"]) == (400, "parameter_invalid"), text
        assert f'"{place.parameter}"' in problem["detail"]
        if place.kind == "boolean":
            assert problem["hint"] == "Pass true or false."
            continue
        assert problem["hint"].startswith('Did you mean "10"?')
        if "/stream/" not in place.path:  # which would not end
            right = spoken.request(place.method, place.address("10"), **body)
            assert right.status_code in {200, 404}


@pytest.mark.parametrize("written", ["01", "+1", "1.0", "\u0661", " 1", "0_1"])
@pytest.mark.parametrize(
    "address",
    [
        "/v1/metrics/{name}", "/v1/lineage/metric/{name}", "/v1/contracts/metric/{name}",
        "/v1/contracts/metric/{name}/1", "/v1/contracts/diff?kind=metric&name={name}&from=1&to=1",
        "/v1/stream/metrics?metric={name}", "/v1/stream/events?type={name}",
    ],
)  # fmt: skip
def test_a_name_says_its_version_as_lists_do(spoken: Served, address: str, written: str) -> None:
    """`revenue@01` is not a name of its own, and not another spelling of `revenue@1` either."""
    plain = "word.spoken" if "type=" in address else "words"
    refused = spoken.get(address.format(name=quote(f"{plain}@{written}", safe="")))

    assert (refused.status_code, refused.json()["code"]) == (400, "parameter_invalid")
    assert refused.json()["hint"] == f'Pass "{plain}@1".'


def test_a_batch_names_versions_as_lists_do(spoken: Served) -> None:
    """It is one of its answers that is refused, not the batch."""
    items = [{"metric": "words@01"}, {"metric": "words@1"}]

    refused, answered = spoken.post("/v1/batch", json={"items": items}).json()["answers"]

    assert (refused["code"], refused["hint"]) == ("parameter_invalid", 'Pass "words@1".')
    assert answered["metric"] == "words"


def test_dead_letters_have_one_address(served: Served) -> None:
    """The letter that is shown by `0` is not shown by `00`, and is revealed by `true` alone."""
    served.send(order("A", amount="a lot"))

    assert served.get("/v1/deadletter/0?reveal=true").status_code == 200
    assert served.get("/v1/deadletter/0?reveal=false").status_code == 200
    for address in ("/v1/deadletter/00", "/v1/deadletter/-0", "/v1/deadletter/0?reveal=yes"):
        assert served.get(address).json()["code"] == "parameter_invalid"
