"""What a metric's expression becomes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agentflow.errors import ContractError
from agentflow.metrics import measure, plan_metric
from tests.agentflow.metrics.conftest import Ledger, event_contracts, metric_contract, sale


@pytest.mark.parametrize(
    ("value", "scale", "whole"),
    [
        ("count(sale)", 0, True),
        ("sum(sale.pieces)", 0, True),
        ("sum(sale.amount)", 2, False),
        ("sum(sale.amount * sale.pieces)", 2, False),
        ("sum(sale.amount * sale.amount)", 4, False),
        ("count(sale) * 1.50", 2, False),
        ("avg(sale.pieces)", 6, False),
        ("count(sale) / count(refund)", 6, False),
        ("max(sale.amount) - min(sale.pieces)", 2, False),
    ],
)
def test_the_natural_scale_follows_from_the_expression(
    value: str,
    scale: int,
    whole: bool,  # noqa: FBT001
) -> None:
    """Whole numbers stay whole; what divides has six places; a contract may say otherwise."""
    plan = plan_metric(metric_contract(value), events=event_contracts())

    assert (plan.scale, plan.whole) == (scale, whole)


def test_what_is_said_twice_is_kept_once() -> None:
    """One state for one aggregate, however often the expression names it."""
    value = "avg(sale.amount) + sum(sale.amount) / count(sale) + count(sale)"

    plan = plan_metric(metric_contract(value), events=event_contracts())

    assert [atom.kind for atom in plan.atoms] == ["sum", "count", "count"]


@pytest.mark.parametrize(
    ("value", "changes", "message"),
    [
        ("sum(sale.place)", {}, "sum of a string is not exact"),
        ("count(distinct sale.amount)", {}, "distinct of a decimal is not exact"),
        ("sum(sale.gone)", {}, 'field "gone" does not exist'),
        ("count(sale)", {"dimensions": ["gone"]}, 'dimension "gone" is not a field'),
        ("count(sale) filter (where pieces)", {}, "a filter must be a condition"),
        ("count(sale)", {"moved_by": ["refund@1"]}, 'lacks "sale"'),
    ],
)
def test_a_metric_that_does_not_fit_its_events_is_refused(
    value: str, changes: dict[str, object], message: str
) -> None:
    """Lint finds it first; the compiler does not rely on that."""
    with pytest.raises(ContractError, match=message):
        plan_metric(metric_contract(value, **changes), events=event_contracts())


@pytest.mark.parametrize(
    ("value", "nothing"),
    [
        ("sum(sale.amount)", "0.00"),
        ("count(sale)", "0"),
        ("count(distinct sale.buyer)", "0"),
        ("avg(sale.amount)", "None"),
        ("min(sale.pieces)", "None"),
        ("quantile(sale.amount, 0.5)", "None"),
        ("count(sale) / count(refund)", "None"),
        ("count(sale) / count(refund) + 1", "None"),
    ],
)
def test_nothing_is_zero_for_sums_and_counts_and_null_else(value: str, nothing: str) -> None:
    """There is no largest of nothing, and no ratio over it."""
    ledger = Ledger(value, windows=["all"])
    ledger.add(sale(0))
    ledger.retract(sale(0))
    empty = ledger.state.merged([])

    ledger.state.refresh(0)

    assert str(measure(ledger.plan, empty).value) == nothing
    assert ledger.read("all", now_us=0) == {}


def test_a_whole_metric_rounds_a_decimal_at_the_end() -> None:
    """`scale: 0` asks for a whole number: half away from zero."""
    ledger = Ledger("sum(sale.amount)", scale=0, windows=["all"])
    ledger.add(sale(0, amount=Decimal("2.50")))

    value = ledger.value("all", now_us=0)

    assert value == 3
    assert isinstance(value, int)
