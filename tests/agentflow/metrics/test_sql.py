"""The SQL of each kind of metric, as text that people review.

After an intended change: `AGENTFLOW_WRITE_SNAPSHOTS=1 pytest tests/agentflow/metrics/test_sql.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentflow.contracts import Registry
from agentflow.lint import load
from agentflow.metrics import plan_metric
from agentflow.metrics.sql import QuerySpec, metric_query

SNAPSHOTS = Path(__file__).parent / "snapshots"
SHOP = Path(__file__).parents[3] / "contracts"
CORNERS = Path(__file__).parents[2] / "processing" / "laws" / "contracts"

WINDOW = QuerySpec(tenant="t", start_us=0, end_us=3_600_000_000, up_to_offset=100)
QUESTIONS = {
    "all": QuerySpec(tenant="t"),
    "window": WINDOW,
    "series": QuerySpec(tenant="t", start_us=0, end_us=86_400_000_000, grain_us=3_600_000_000),
    "as-of": QuerySpec(tenant="t", ingested_before_us=7),
}


@pytest.fixture(scope="module")
def registries() -> dict[str, Registry]:
    return {"shop": load(SHOP), "corners": load(CORNERS)}


CASES = {
    "sum-corrected": ("shop", "revenue", QuerySpec("t", by=("currency",), up_to_offset=100)),
    "count": ("shop", "page_views", WINDOW),
    "count-filtered": ("shop", "risky_payments", WINDOW),
    "average": ("shop", "avg_order_value", QuerySpec("t", where={"currency": "EUR"})),
    "ratio": ("shop", "error_rate", QUESTIONS["series"]),
    "distinct": ("shop", "active_sessions", WINDOW),
    "distinct-two-fields": ("corners", "people", WINDOW),
    "quantile": ("shop", "p95_payment_time", WINDOW),
    "extreme": ("shop", "largest_order", QUESTIONS["as-of"]),
    "derived-recomputed": ("shop", "large_order_share", QuerySpec("t", where={"country": None})),
    "product": ("shop", "gross_merchandise_value", QUESTIONS["all"]),
    "newest-versions": ("corners", "held", WINDOW),
    "several-multisets": ("corners", "late_quantile", QUESTIONS["all"]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_sql_of_a_metric_is_what_was_reviewed(
    registries: dict[str, Registry], case: str
) -> None:
    """SQL is a pure function of the plan; a change of it is a change people see."""
    pack, name, question = CASES[case]
    registry = registries[pack]
    contract = registry.metric(name)

    query = metric_query(
        plan_metric(contract, events=registry.events), question, events=registry.events
    )

    bound = "\n".join(f"-- ${key} = {value!r}" for key, value in query.parameters.items())
    reads = ", ".join(map(str, query.reads))
    compare(f"{case}.sql", f"-- {contract.value}\n-- reads {reads}\n{bound}\n{query.text}\n")


def compare(name: str, text: str) -> None:
    path = SNAPSHOTS / name
    if os.environ.get("AGENTFLOW_WRITE_SNAPSHOTS"):
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("pack", ["shop", "corners"])
def test_no_value_of_a_question_is_part_of_the_text(
    registries: dict[str, Registry], pack: str
) -> None:
    """Values are bound: a filter is what a stranger types."""
    registry = registries[pack]
    hostile = "'; DROP TABLE x; --"
    for contract in registry.metrics.values():
        plan = plan_metric(contract, events=registry.events)
        where = dict.fromkeys(plan.dimensions, hostile)

        query = metric_query(plan, QuerySpec(tenant=hostile, where=where), events=registry.events)

        assert hostile not in query.text
        assert hostile in query.parameters.values()
