"""Rows hold everything an event is."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.contracts import EventContract, Registry
from agentflow.contracts.scope import ENVELOPE_COLUMNS
from agentflow.errors import ContractError
from agentflow.events import Event
from processing.lake.columns import ENVELOPE, layout
from processing.lake.rows import StoredEvent, events_of, rows_of
from quality import Gate

CONTRACT = EventContract.model_validate(
    {
        "kind": "event",
        "name": "thing.measured",
        "status": "approved",
        "owner": "tests",
        "description": "One field of each type.",
        "fields": {
            "text": {"type": "string"},
            "whole": {"type": "integer"},
            "money": {"type": "decimal", "scale": 2},
            "exact": {"type": "decimal", "scale": 9},
            "real": {"type": "number"},
            "yes": {"type": "boolean"},
            "moment": {"type": "timestamp"},
            "day": {"type": "date"},
            "from": {"type": "string"},
        },
        "derived": {"product": "money * exact", "cheap": "money < 5"},
    }
)
GATE = Gate(Registry.of([CONTRACT]))
DATA = GATE.data_type(CONTRACT.ref)

FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
instants = st.integers(FIRST_US, LAST_US)


def decimals(scale: int, digits: int) -> st.SearchStrategy[Decimal]:
    """Return decimals with exactly *scale* places and up to *digits* digits in all."""
    top = 10**digits - 1
    return st.integers(-top, top).map(lambda unscaled: Decimal(unscaled).scaleb(-scale))


values = {
    "text": text,
    "whole": st.integers(-(2**63), 2**63 - 1),
    "money": decimals(2, 20),
    "exact": decimals(9, 27),
    "real": st.floats(allow_nan=False, allow_infinity=False),
    "yes": st.booleans(),
    "moment": instants,
    "day": st.dates().map(lambda day: day.isoformat()),
    "from_": text,
    "product": decimals(11, 28),
    "cheap": st.booleans(),
}
events = st.builds(
    Event,
    id=text,
    source=text,
    type=st.just("thing.measured"),
    version=st.just(1),
    tenant=text,
    occurred_us=instants,
    ingested_us=instants,
    data=st.fixed_dictionaries(
        {name: st.none() | strategy for name, strategy in values.items()}
    ).map(lambda fields: DATA(**fields)),
    subject=st.none() | text,
    correlation_id=st.none() | text,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(events, max_size=4))
def test_every_event_comes_back_from_its_row_unchanged(given_events: list[Event]) -> None:
    """The lake rebuilds the live engine, so a digit lost here is a metric wrong later."""
    stored = [StoredEvent(offset, event) for offset, event in enumerate(given_events, 7)]

    rows = rows_of(layout(CONTRACT), stored)

    assert list(events_of(rows, ref=CONTRACT.ref, data_type=DATA)) == stored


def test_a_field_named_like_an_envelope_column_is_refused() -> None:
    """Two columns of one name would make every query ambiguous."""
    fields = {"tenant": {"type": "string"}}
    contract = CONTRACT.model_validate({**CONTRACT.model_dump(), "fields": fields, "derived": {}})

    with pytest.raises(ContractError, match='field "tenant"'):
        layout(contract)


def test_the_linter_knows_the_columns_the_lake_adds() -> None:
    """A contract that passes the linter must not fail when the lake is opened."""
    assert {column.name for column in ENVELOPE} | {"occurred_us", "ingested_us"} == ENVELOPE_COLUMNS
