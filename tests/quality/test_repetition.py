"""A member that is there twice is refused, wherever it is and however it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.events import RawEvent
from quality import Accepted, Gate, Rejected, Verdict

NOW_US = 1_795_252_802_000_000
EVENT = '{"id":"1","type":"parcel.sent","data":{"parcel_id":"AB1","price":"3.50","currency":"EUR"}}'


def judged(gate: Gate, text: str) -> Verdict:
    return gate.judge(RawEvent(text.encode(), "acme", NOW_US))


@pytest.mark.parametrize(
    ("member", "place", "pointer"),
    [
        ('"id":"2",', '"id"', "/id"),
        ('"type":"parcel.lost",', '"id"', "/type"),
        ('"data":{},', '"id"', "/data"),
        ('"price" : 9,', '"parcel_id"', "/data/price"),
        ('"price":"9.00" ,', '"parcel_id"', "/data/price"),
        (r'"pr\u0069ce":"9.00",', '"parcel_id"', "/data/price"),
        ('"sender":null,"sender":null,', '"parcel_id"', "/data/sender"),
        ('"ext":1,"ext":1,', '"id"', "/ext"),
        ('"sender":{"a":1,"a":2},', '"parcel_id"', "/data"),
    ],
)
def test_a_repeated_member_is_refused(gate: Gate, member: str, place: str, pointer: str) -> None:
    """Of two amounts one reader takes the first and another the last."""
    verdict = judged(gate, EVENT.replace(place, member + place, 1))

    assert isinstance(verdict, Rejected)
    assert verdict.reason == "member_repeated"
    assert verdict.violations[0].pointer == pointer


DATA = st.fixed_dictionaries(
    {
        "parcel_id": st.just("AB1"),
        "price": st.sampled_from(["3.50", 3]),
        "currency": st.just("EUR"),
    },
    optional={
        "sender": st.none() | st.sampled_from(["Ada", '"', "\\", '\\"', "\u00e9", '":"']),
        "pieces": st.integers(1, 3),
        "insured": st.booleans(),
        "due": st.just("2026-11-21"),
        "balance": st.sampled_from([1.5, "1.5", None]),
    },
)
ATTRIBUTES = st.fixed_dictionaries(
    {"id": st.just("1"), "type": st.just("parcel.sent")},
    optional={
        "source": st.just("/s"),
        "subject": st.sampled_from(["x", '\\"', None]),
        "dataversion": st.sampled_from(["2", 2]),
        "ext": st.sampled_from(["a", 1, True]),
    },
)


@given(
    attributes=ATTRIBUTES,
    data=DATA,
    compact=st.booleans(),
    ascii_only=st.booleans(),
    choice=st.data(),
)
def test_whatever_is_sent_once_passes_and_twice_does_not(
    gate: Gate,
    attributes: dict[str, Any],
    data: dict[str, Any],
    *,
    compact: bool,
    ascii_only: bool,
    choice: st.DataObject,
) -> None:
    """Quotes are only counted: the count may never take two members for one, nor one for two."""
    separators = (",", ":") if compact else (" , ", " : ")

    def member(name: str, value: object) -> str:
        written = json.dumps(value, ensure_ascii=ascii_only, separators=separators)
        return json.dumps(name) + separators[1] + written

    def rendered(pairs: list[tuple[str, Any]]) -> str:
        return "{" + separators[0].join(member(*pair) for pair in pairs) + "}"

    parts = [member(*pair) for pair in attributes.items()]
    fields = list(data.items())
    once = "{" + separators[0].join([*parts, '"data":' + rendered(fields)]) + "}"
    again = choice.draw(st.sampled_from(fields))
    twice = "{" + separators[0].join([*parts, '"data":' + rendered([again, *fields])]) + "}"

    assert isinstance(judged(gate, once), Accepted), once
    refused = judged(gate, twice)
    assert isinstance(refused, Rejected), twice
    assert refused.reason == "member_repeated"
