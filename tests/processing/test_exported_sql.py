"""What other tools compute from the exported model is what the platform says, on random streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

import duckdb
import pytest

from agentflow.clock import to_datetime
from agentflow.contracts import EventContract
from agentflow.contracts.scope import attribute_of
from agentflow.events import Event
from agentflow.expressions.sql import literal, quote_name
from agentflow.lint import load
from processing.verification.checks import Cut
from tests.agentflow.export.test_osi import Row, Rows, ask, model_of, store
from tests.processing.laws.campaign import PACKS, Law

STREAMS = 4


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA events")
        yield connection


@pytest.mark.parametrize("pack", ["corners", "shop"])
def test_exported_sql_equals_the_contract(pack: str, database: duckdb.DuckDBPyConnection) -> None:
    """Corrections, versions of rows, ratios and filters: one meaning, whatever runs the SQL."""
    registry = load(PACKS[pack])
    law = Law(registry)
    numbers = 0

    for seed in range(STREAMS):
        cuts, log = law.run(law.stream(seed))
        rows: Rows = {}
        for offset, event in log:
            contract = registry.events[event.ref]
            rows.setdefault(event.ref, []).append(row_of(contract, event, offset))
        store(database, registry, rows)
        for cut in cuts:
            if cut.window == "all" and cut.next_offset > log[-1][0]:
                numbers += assert_exported(database, law, cut)

    law.close()
    assert numbers > STREAMS


def assert_exported(database: duckdb.DuckDBPyConnection, law: Law, cut: Cut) -> int:
    contract = cut.plan.contract
    model = model_of(law.definitions.registry, f"{contract.name}@{contract.version}")
    (item,) = model["metrics"]
    for values, measured in cut.cells.items():
        where = where_of(cut.tenant, dict(zip(cut.by, values, strict=True)))
        found = ask(database, model, str(item["name"]), where)
        live = measured.value
        assert found == (None if live is None else Decimal(live)), f"{contract.name} {where}"
    return len(cut.cells)


def row_of(contract: EventContract, event: Event, offset: int) -> Row:
    """Return an event as the tables hold it."""
    data: Row = {}
    for name, field in contract.fields.items():
        value = getattr(event.data, attribute_of(name))
        timed = field.type == "timestamp" and value is not None
        data[name] = to_datetime(value) if timed else value
    return {
        **data,
        "tenant": event.tenant,
        "source": event.source,
        "event_id": event.id,
        "occurred_at": to_datetime(event.occurred_us),
        "ingested_at": to_datetime(event.ingested_us),
        "log_offset": offset,
    }


def where_of(tenant: str, values: Mapping[str, object]) -> str:
    """Return the condition of one cell."""
    tests = [f"tenant = {literal(tenant)}"]
    for name, value in values.items():
        column = quote_name(name)
        assert value is None or isinstance(value, str | int)
        tests.append(f"{column} IS NULL" if value is None else f"{column} = {literal(value)}")
    return f" WHERE {' AND '.join(tests)}"
