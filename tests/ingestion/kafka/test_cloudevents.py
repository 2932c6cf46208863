"""CloudEvents in Kafka records: both modes mean the same document, and HTTP's the same again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.errors import ParameterError
from ingestion.kafka.cloudevents import binary, binary_mode, structured
from serving.http.cloudevents import structured as over_http

_ATTRIBUTES = st.dictionaries(
    st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True).filter(
        lambda name: name not in {"type", "data", "datacontenttype"}
    ),
    st.text(st.characters(codec="utf-8"), max_size=20),
    max_size=5,
)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
_DOCUMENTS = st.builds(
    lambda attributes, data: {"type": "order.created", **attributes, "data": data},
    _ATTRIBUTES,
    _JSON,
)


@given(_DOCUMENTS)
def test_structured_to_binary_and_back_is_the_same_event(document: dict[str, Any]) -> None:
    """A bridge may change the mode; the event stays, its data byte by byte."""
    text = json.dumps(document, ensure_ascii=False).encode()

    headers, value = binary(text)

    assert json.loads(value) == document["data"]
    assert json.loads(structured(headers, value)) == {
        **document,
        "datacontenttype": "application/json",
    }


@given(_ATTRIBUTES, _JSON)
def test_http_and_kafka_give_one_document(attributes: dict[str, str], data: object) -> None:
    """The gate, the identity and the dead letter must not depend on the way in."""
    body = json.dumps(data).encode()
    named = {"type": "order.created", **attributes}
    quoted = {name: _quoted(text) for name, text in named.items()}

    over_kafka = structured(
        [*((f"ce_{k}", v.encode()) for k, v in named.items()), ("content-type", b"text/json")],
        body,
    )

    assert over_kafka == over_http(
        [*((b"ce-%b" % k.encode(), v) for k, v in quoted.items()), (b"content-type", b"text/json")],
        body,
    )


def _quoted(text: str) -> bytes:
    return "".join(f"%{byte:02X}" for byte in text.encode()).encode()


@given(st.binary(max_size=30), st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=8))))
def test_no_record_makes_it_fail(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    """What is on a topic was written by anybody."""
    assert isinstance(structured([*headers, ("ce_type", b"\xff")], value), bytes)


@pytest.mark.parametrize(
    "written", [b"application/cloudevents+json; charset=utf-8", b"Application/CloudEvents+JSON"]
)
def test_the_content_type_of_structured_mode_decides(written: bytes) -> None:
    """As the binding says: a bridge may have left attributes in headers too."""
    headers = [("ce_type", b"x"), ("content-type", written)]

    assert not binary_mode(headers)
    assert structured(headers, b'{"type":"y"}') == b'{"type":"y"}'


def test_a_plain_document_is_structured() -> None:
    """Producers that know nothing of CloudEvents' headers send what HTTP takes as well."""
    assert structured([("tenant", b"t")], b'{"type":"y"}') == b'{"type":"y"}'


def test_a_tombstone_is_an_empty_document() -> None:
    """It becomes a dead letter: an event topic has no state to delete."""
    assert structured([], None) == b""
    assert structured([("ce_type", b"x")], None) == b""


@pytest.mark.parametrize("value", [b'{}, "tenant": "other"', b"{}}", b"{", b"\xff", b"[" * 100_000])
def test_a_value_cannot_pose_as_attributes(value: bytes) -> None:
    """What is not one JSON value stays what it is, and is dead-lettered as that."""
    assert structured([("ce_type", b"x")], value) == value


def test_attributes_are_written_in_their_canonical_text() -> None:
    """Booleans and integers are CloudEvents' own types; a base64 value is bytes."""
    headers, value = binary(b'{"type":"x","urgent":true,"n":3,"data_base64":"AP8="}')

    assert dict(headers) == {
        "ce_type": b"x",
        "ce_urgent": b"true",
        "ce_n": b"3",
        "content-type": b"application/json",
    }
    assert value == b"\x00\xff"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":"x"}',
        b'{"a":{},"data":1}',
        b'{"a":null,"data":1}',
        b'{"data_base64":"?"}',
        b'{"data_base64":1}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_has_no_binary_form_says_so(document: bytes) -> None:
    """Better here than as a record that nobody can read back."""
    with pytest.raises(ParameterError, match="no binary form"):
        binary(document)
