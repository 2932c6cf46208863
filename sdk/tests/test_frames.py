"""Answers as tables keep every digit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa

from agentflow_sdk import AgentFlow, Answer

HEAD = {"metric": "revenue", "value": None, "status": "fresh"}
CONTRACT = {"version": 2, "fingerprint": "sha256:00", "status": "approved"}
EUR = {"currency": "EUR"}
STEPS = (("0.10", 1, EUR), (None, 0, EUR), ("99999999999999999.125", 2, {"currency": None}))
POINTS = [
    {
        "start": f"2026-01-01T00:{5 * step:02}:00Z",
        "end": f"2026-01-01T00:{5 * step + 5:02}:00Z",
        "value": value,
        "events": events,
        "dimensions": dimensions,
    }
    for step, (value, events, dimensions) in enumerate(STEPS)
]
SERIES = Answer.model_validate({**HEAD, "contract": CONTRACT, "series": POINTS})


def test_series_becomes_an_exact_arrow_table() -> None:
    """Decimals as decimals, instants with their zone, null as null."""
    table = SERIES.to_arrow()

    assert table.column_names == ["start", "end", "currency", "value", "events"]
    assert table.schema.field("value").type == pa.decimal128(38, 3)
    assert table.column("value").to_pylist() == [
        Decimal("0.100"),
        None,
        Decimal("99999999999999999.125"),
    ]
    assert table.column("start").to_pylist()[0] == datetime(2026, 1, 1, tzinfo=UTC)
    assert table.column("currency").to_pylist() == ["EUR", "EUR", None]


def test_polars_and_pandas_keep_the_digits() -> None:
    """Their default would be floats."""
    exact = [Decimal("0.100"), None, Decimal("99999999999999999.125")]

    assert SERIES.to_polars()["value"].to_list() == exact
    assert SERIES.to_pandas()["value"].to_list()[2] == exact[2]


def test_groups_and_single_values_are_tables_too(client: AgentFlow) -> None:
    """Whatever was asked, a frame comes out."""
    client.send("order.created", {"order_id": "A", "amount": "1.00", "currency": "EUR"})
    client.send("order.created", {"order_id": "B", "amount": "2.00", "currency": "USD"})

    groups = client.metric("revenue").to_polars()
    count = client.metric("order_count").to_polars()

    assert groups.to_dicts() == [
        {"currency": "EUR", "value": Decimal("1.00"), "events": 1},
        {"currency": "USD", "value": Decimal("2.00"), "events": 1},
    ]
    assert count.to_dicts() == [{"value": 2, "events": 2}]
