"""When two events of one identity are one event, and when they are two."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.events import RawEvent
from quality import Accepted, Gate

NOW_US = 1_795_252_802_000_000
LATER_US = NOW_US + 60_000_000
DATA: dict[str, Any] = {"parcel_id": "AB1", "price": "3.50", "currency": "EUR"}
EVENT: dict[str, Any] = {"id": "1", "source": "/s", "type": "parcel.sent", "data": DATA}


def accepted(gate: Gate, document: dict[str, Any], at_us: int) -> tuple[RawEvent, Accepted]:
    raw = RawEvent(json.dumps(document).encode(), "acme", at_us)
    verdict = gate.judge(raw)
    assert isinstance(verdict, Accepted), verdict
    return raw, verdict


def say_the_same(gate: Gate, first: dict[str, Any], again: dict[str, Any]) -> bool:
    """Ask both ways: event beside event, and digest beside digest."""
    one, two = accepted(gate, first, NOW_US), accepted(gate, again, LATER_US)
    same = gate.same(one[1].event, two[1].event)
    assert (gate.content(*one) == gate.content(*two)) is same
    return same


@pytest.mark.parametrize(
    "again",
    [
        {**EVENT, "data": dict(reversed(DATA.items()))},
        {**EVENT, "data": {**DATA, "price": 3.5}},
        {**EVENT, "data": {**DATA, "price": "3.5"}},
        {**EVENT, "data": {**DATA, "sender": None}},
        {**EVENT, "correlationid": "another try"},
        {**EVENT, "traceparent": "00-1-2-01"},
        {**EVENT, "attempt": 2},
        {**EVENT, "dataversion": "2"},
    ],
    ids=["order", "number", "zeros", "null", "correlation", "trace", "extension", "version"],
)
def test_what_travels_differently_is_the_same_event(gate: Gate, again: dict[str, Any]) -> None:
    """A retry may go through another client, encoding or trace."""
    assert say_the_same(gate, EVENT, again)


@pytest.mark.parametrize(
    "again",
    [
        {**EVENT, "data": {**DATA, "price": "3.51"}},
        {**EVENT, "data": {**DATA, "sender": "Ada"}},
        {**EVENT, "subject": "another"},
        {**EVENT, "time": "2026-11-21T09:00:00Z"},
    ],
    ids=["value", "field", "subject", "time"],
)
def test_what_says_something_else_is_another_event(gate: Gate, again: dict[str, Any]) -> None:
    """Called a duplicate, it would be lost without a trace."""
    assert not say_the_same(gate, EVENT, again)


def test_a_stated_time_is_the_same_whenever_it_arrives(gate: Gate) -> None:
    """The first may be stated to happen at the very instant of its arrival."""
    event = {**EVENT, "time": "2026-11-21T09:20:02Z"}

    assert accepted(gate, event, NOW_US)[1].event.occurred_us == NOW_US
    assert say_the_same(gate, event, event)


PRICES = st.sampled_from(["1", "1.0", "1.00", "2.5", "2.50", "999.99"])


@given(first=PRICES, again=PRICES, sender=st.sampled_from([None, "Ada", "1"]))
def test_equal_values_and_no_others_are_equal_content(
    gate: Gate, first: str, again: str, sender: str | None
) -> None:
    """Both buses decide alike: one compares events, the other their digests."""
    one = {**EVENT, "data": {**DATA, "price": first, "sender": sender}}
    two = {**EVENT, "data": {**DATA, "price": again, "sender": sender}}

    assert say_the_same(gate, one, two) is (float(first) == float(again))
