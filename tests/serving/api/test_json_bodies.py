"""JSON bodies: nothing is ignored, nothing counts twice, and what is wrong is said in our words."""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.repetition import repeated_anywhere
from tests.serving.api.conftest import Served, order, serving

NAMES = st.sampled_from(["a", "a/b", "~", "é", ""])
PYDANTIC = re.compile(r"Extra inputs|Field required|Input should|openapi\.json")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("bodies")) as opened:
        opened.send(order("1", amount="x"))
        yield opened


def bodies(served: Served) -> list[str]:
    """Return every documented POST that is sent JSON and no event."""
    paths = served.get("/openapi.json").json()["paths"]
    names = {"offset": "0", "event": "order.created", "id": "key_1"}
    events = {"/v1/events", "/v1/dry-run"}
    return [path.format(**names) for path, operations in paths.items()
            if "post" in operations and path not in events]  # fmt: skip


def test_no_body_may_have_a_member_twice_or_one_that_does_not_exist(served: Served) -> None:
    """The last one would win, or a typo would change what is asked for."""
    found = [path for path in bodies(served) if not path.endswith("/validate")]

    assert len(found) >= 6
    for path in found:
        twice = served.post(path, content=b'{"zzz": 1, "zzz": 2}').json()
        unknown = served.post(path, content=b'{"zzz": 1}').json()

        assert twice["code"] == unknown["code"] == "body_invalid", path
        assert (twice["errors"][0]["code"], twice["errors"][0]["pointer"]) == (
            "member_repeated", "/zzz")  # fmt: skip
        assert unknown["errors"][0]["code"] == "member_unknown"
    assert served.get("/v1/deadletter/0").json()["status"] == "open"


def test_a_sample_with_a_member_twice_is_not_valid(served: Served) -> None:
    """It is judged as an event is."""
    answer = served.post(
        "/v1/contracts/order.created/validate", content=b'{"amount": "1.00", "amount": "2.00"}'
    ).json()

    assert (answer["valid"], answer["errors"][0]["code"]) == (False, "member_repeated")


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/deadletter/0/fix", '{"set": {"/data/num": 1, "/data/num": 2}}', "/set/~1data~1num"),
        ("/v1/deadletter/0/fix", r'{"event": {"data": {"a": 1, "\u0061": 2}}}', "/event/data/a"),
        ("/v1/batch", '{"items": [{"metric": "x", "window": "all", "window": "1h"}]}',
         "/items/0/window"),
    ],
)  # fmt: skip
def test_a_member_twice_is_refused_where_it_is(
    served: Served, path: str, body: str, pointer: str
) -> None:
    """Its pointer says which."""
    answer = served.post(path, content=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("path", ["/v1/contracts/publish", "/v1/deadletter/0/replay"])
def test_what_takes_no_body_takes_an_empty_one(served: Served, path: str) -> None:
    """A client that always sends an object is not refused for it."""
    refused = served.post(path, content="[]").json()

    assert (refused["code"], refused["detail"]) == (
        "body_invalid", "the body takes an object, not a list of 0 items")  # fmt: skip
    assert {served.post(path, content=body).status_code for body in (b"", b"{}")} == {200}


@pytest.mark.parametrize(
    ("body", "pointer", "message", "hint"),
    [
        ({"items": [{"metric": "x", "windw": "1h"}]}, "/items/0/windw",
         'the body has a member "/items/0/windw", which does not exist',
         ('Did you mean "window"? Known members: by, cursor, dimensions, limit, metric, version, '
         "window.")),
        ({"items": [{}]}, "/items/0/metric", '"/items/0/metric" is missing',
         "It takes text of at most 200 characters."),
        ({"items": [{"metric": 7}]}, "/items/0/metric",
         '"/items/0/metric" takes text of at most 200 characters, not 7',
         "Send text of at most 200 characters."),
        ({"items": [{"metric": "x", "dimensions": {"a": 1.5}}]}, "/items/0/dimensions/a",
         ('"/items/0/dimensions/a" takes text, a whole number, true or false or null, '
         "not a number with a fraction, NaN or infinity"),
         "Send text, a whole number, true or false or null."),
        ({"items": [{"metric": "x", "version": 0}]}, "/items/0/version",
         '"/items/0/version" takes a whole number from 1 to 999999999 or null, not 0',
         "Send a whole number from 1 to 999999999 or null."),
        ({"items": [{"metric": "x", "by": "a"}]}, "/items/0/by",
         '"/items/0/by" takes a list of at most 16 items, not a text of 1 character',
         "Send a list of at most 16 items."),
        ([], "", "the body takes an object, not a list of 0 items", "Send an object."),
    ],
)  # fmt: skip
def test_a_wrong_member_is_named_with_what_it_takes(
    served: Served, body: Any, pointer: str, message: str, hint: str
) -> None:
    """Whoever reads it does not know the library that found it."""
    answer = served.post("/v1/batch", json=body).json()

    first = answer["errors"][0]
    assert (first["pointer"], first["message"], first["hint"]) == (pointer, message, hint)
    assert (answer["detail"], answer["hint"]) == (message, hint)
    assert not PYDANTIC.search(json.dumps(answer))


@given(st.recursive(
    st.integers(), lambda inner: st.lists(inner, max_size=3) | st.lists(
        st.tuples(NAMES, inner), max_size=3).map(tuple), max_leaves=8))  # fmt: skip
def test_a_repetition_is_found_at_any_depth(tree: Any) -> None:
    """A tree of objects written as pairs has one exactly where names of one object are equal."""
    assert (repeated_anywhere(written(tree)) is not None) == repeats(tree)


def written(tree: Any) -> str:
    """Return the tree as JSON; tuples of pairs are objects."""
    if isinstance(tree, tuple):
        return "{" + ",".join(f"{json.dumps(name)}:{written(each)}" for name, each in tree) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(map(written, tree)) + "]"
    return json.dumps(tree)


def repeats(tree: Any) -> bool:
    """Tell whether an object of the tree has a name twice."""
    if isinstance(tree, tuple):
        names = [name for name, _ in tree]
        return len(set(names)) < len(names) or any(repeats(each) for _, each in tree)
    return isinstance(tree, list) and any(map(repeats, tree))
