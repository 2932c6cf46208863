"""Text is text, wherever a contract or a question says it: the query means it to the letter."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentflow.errors import ExpressionError
from agentflow.expressions import parse_scalar
from agentflow.metrics import plan_metric
from agentflow.metrics.rows import row_answer
from agentflow.metrics.sql import QuerySpec, metric_query
from tests.agentflow.metrics.conftest import Ledger, event_contracts, metric_contract, sale

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
FORMULA = (
    "count(sale) filter (where buyer = {text} and buyer in ('x', {text})"
    " and case when contains(buyer, {text}) then {text} end = {text})"
)
"""The same text as operand, as option, as argument and as result."""


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        'CREATE TABLE "sale@1" (tenant VARCHAR, log_offset BIGINT, occurred_us BIGINT,'
        " buyer VARCHAR, place VARCHAR)"
    )
    return connection


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, other=TEXTS)
@example(text="a\nb", other="a\n  b")
@example(text="it's \\n\r\n\\", other="")
def test_any_text_means_itself(database: duckdb.DuckDBPyConnection, text: str, other: str) -> None:
    """A line break in a filter counted 10 live and nothing in a recompute."""
    formula = FORMULA.format(text="'" + text.replace("'", "''") + "'")
    plan = plan_metric(metric_contract(formula), events=event_contracts())
    buyers = [text, other, f"{text} ", text.replace("\n", "\n  ")]
    rows = [["t", number, 0, buyer, text] for number, buyer in enumerate(buyers)]
    database.execute('DELETE FROM "sale@1"')
    database.executemany('INSERT INTO "sale@1" VALUES (?, ?, ?, ?, ?)', rows)
    live = Ledger(formula)
    for buyer in buyers:
        live.add(sale(0, buyer=buyer, place=text))

    query = metric_query(
        plan,
        QuerySpec(tenant="t", by=("place",), where={"place": text}),
        events=event_contracts(),
    )
    ((place, count, _),) = database.execute(query.text, dict(query.parameters)).fetchall()

    assert place == text
    assert row_answer(plan, [count]) == buyers.count(text) == live.value("all", now_us=0)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text_that_no_event_can_hold_is_refused(text: str) -> None:
    """A query with it stops at the character, or cannot be sent."""
    with pytest.raises(ExpressionError, match="which no event can"):
        parse_scalar(f"buyer = '{text}'")
