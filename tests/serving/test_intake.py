"""From bodies to raw events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.http.cloudevents import (
    MAX_EVENTS,
    MediaTypeError,
    NotABatchError,
    RepeatedHeaderError,
    TooManyEventsError,
    binary_mode,
    mode_of,
    split,
    split_leniently,
    structured,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 1]))
def test_a_batch_is_split_into_its_items(items: list[Any], indent: int | None) -> None:
    """Both ways of splitting agree with what a JSON parser says, whatever the white space."""
    body = json.dumps(items, indent=indent).encode()

    assert [json.loads(part) for part in split("array", body)] == items
    assert [json.loads(part) for part in split_leniently(body)] == items


@given(st.binary(max_size=60))
def test_splitting_is_total(body: bytes) -> None:
    """Whatever arrives is split or refused; nothing else is raised."""
    for mode in ("one", "array", "lines"):
        try:
            parts = split(mode, body)  # type: ignore[arg-type]
        except (NotABatchError, TooManyEventsError):
            continue
        assert all(isinstance(part, bytes) for part in parts)


@pytest.mark.parametrize(
    "poison", [b'{"a": NaN}', b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b"{'a': 1}", b'{"\xff": 1}']
)
def test_one_item_that_is_not_json_costs_only_itself(poison: bytes) -> None:
    """The gate says what is wrong with it; its neighbours are not concerned."""
    body = b'[{"id": "1"}, ' + poison + b', {"id": "2"}]'

    parts = split("array", body)

    assert parts == [b'{"id": "1"}', poison, b'{"id": "2"}']


@pytest.mark.parametrize(
    "body", [b"", b"[", b"[1", b"[1,]", b"[,1]", b'["a]', b"[1]]", b"[1] 2", b"{}", b"[}"]
)
def test_what_cannot_be_told_apart_is_refused_whole(body: bytes) -> None:
    """Guessing where an event ends would store half of one."""
    with pytest.raises(NotABatchError):
        split("array", body)


def test_lines_may_end_like_windows_and_be_empty() -> None:
    """Files are sent as they are."""
    assert split("lines", b'{"a":1}\r\n\r\n{"b":2}\n') == [b'{"a":1}\r', b'{"b":2}']


@pytest.mark.parametrize("mode", ["array", "lines"])
def test_more_events_than_a_request_may_hold_are_refused(mode: str) -> None:
    """Before anything is judged."""
    line, body = b"{}\n" * (MAX_EVENTS + 1), b"[" + b"{}," * MAX_EVENTS + b"{}]"

    with pytest.raises(TooManyEventsError):
        split(mode, body if mode == "array" else line)  # type: ignore[arg-type]


def test_media_types_choose_the_mode() -> None:
    """Plain JSON may be one event or many; what is not JSON is refused."""
    assert mode_of(b"application/json; charset=utf-8", b" [1]") == "array"
    assert mode_of(b"application/json", b"{}") == "one"
    assert mode_of(None, b"{}") == "one"
    assert mode_of(b"application/cloudevents-batch+json", b"{}") == "array"
    with pytest.raises(MediaTypeError):
        mode_of(b"text/xml", b"<a/>")


def test_binary_mode_becomes_structured() -> None:
    """CloudEvents' HTTP binding: attributes in headers, percent-encoded."""
    headers = [
        (b"ce-id", b"1"),
        (b"ce-type", b"order.created"),
        (b"ce-subject", b"%C3%A9t%C3%A9"),
        (b"content-type", b"application/json"),
    ]

    assert binary_mode(headers)
    assert json.loads(structured(headers, b'{"a": 1}')) == {
        "id": "1",
        "type": "order.created",
        "subject": "été",
        "datacontenttype": "application/json",
        "data": {"a": 1},
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'"quoted"', "quoted"),
        (rb'"a \"b\" \\c"', 'a "b" \\c'),
        (b'"%C3%A9"', "\u00e9"),
        (b"a%20b", "a b"),
        (b"%22a%22", '"a"'),
    ],
)
def test_header_values_are_unquoted_and_decoded(value: bytes, text: str) -> None:
    """As the HTTP binding of CloudEvents 1.0.2 says, in that order."""
    document = json.loads(structured([(b"ce-type", b"x"), (b"ce-id", value)], b"{}"))

    assert document["id"] == text


@pytest.mark.parametrize(
    "value", [b"%FE", b"%FF", b"\xff", b"50%", b"%4", b"%zz", b'"open', b'a"b', b'"a"b"']
)
def test_what_cannot_be_decoded_is_kept_and_stands_for_nothing(value: bytes) -> None:
    """A replacement character would make one id of two."""
    document = json.loads(structured([(b"ce-type", b"x"), (b"ce-id", value)], b"{}"))

    assert set(document["id"]) == {"base64"}


@given(first=st.binary(max_size=6), second=st.binary(max_size=6))
def test_no_two_header_values_become_one(first: bytes, second: bytes) -> None:
    """Nothing is lost in decoding but how a text was escaped."""
    one, two = (
        json.loads(structured([(b"ce-type", b"x"), (b"ce-id", each)], b"{}"))["id"]
        for each in (first, second)
    )

    plain = not any(mark in first + second for mark in b'%"')
    assert (one == two) is (first == second) or not plain


def test_the_content_type_decides_first() -> None:
    """A gateway may add `ce-` headers beside a structured event."""
    beside = [(b"ce-type", b"other"), (b"content-type", b"application/cloudevents+json")]
    batch = [(b"ce-type", b"x"), (b"content-type", b"application/cloudevents-batch+json")]

    assert not binary_mode(beside)
    assert not binary_mode(batch)
    assert binary_mode([(b"ce-id", b"1"), (b"content-type", b"application/json")])
    with pytest.raises(RepeatedHeaderError):
        binary_mode([(b"content-type", b"text/plain"), (b"content-type", b"application/json")])


@pytest.mark.parametrize("body", [b'{}, "tenant": "other"', b"{}}", b"", b'{"a":1} {"b":2}'])
def test_a_binary_body_cannot_pose_as_attributes(body: bytes) -> None:
    """What is not one JSON value stays what it is, and is dead-lettered as that."""
    assert structured([(b"ce-type", b"x")], body) == body
