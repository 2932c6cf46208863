"""Arithmetic of metric values, against fractions written down another way."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.metrics import MetricPlan, compile_cells, measure, plan_metric
from agentflow.metrics.arithmetic import combine, fraction, rounded, settled
from agentflow.metrics.evaluator import Cell
from agentflow.metrics.rows import SUM_PART, reads, row_answer
from tests.agentflow.metrics.conftest import event_contracts, metric_contract

ATOMS = ("sum(sale.amount)", "sum(sale.pieces)", "count(sale)", "0.125", "7")
FORMULAS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.builds(
        lambda left, operator, right: f"({left} {operator} {right})",
        inner,
        st.sampled_from("+-*//"),
        inner,
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(
    formula=FORMULAS.filter(lambda text: "sale" in text),
    amount=st.integers(-(10**14), 10**14).map(lambda cents: Decimal(cents).scaleb(-2)),
    pieces=st.integers(-(10**6), 10**6),
    events=st.integers(0, 10**6),
    scale=st.integers(0, 9),
)
def test_an_answer_has_the_digits_that_its_formula_has_on_paper(
    formula: str, amount: Decimal, pieces: int, events: int, scale: int
) -> None:
    """However often it divides, in the live engine and in a recompute: rounded once, at the end."""
    values = {"sum(sale.amount)": amount, "sum(sale.pieces)": pieces, "count(sale)": events}
    plan = plan_metric(metric_contract(formula, scale=scale), events=event_contracts())
    exact = on_paper(formula, {name: Fraction(value) for name, value in values.items()})

    cell = [_state(plan, index, values) for index in range(len(plan.atoms))]

    expected = None if exact is None else half_away_from_zero(exact, plan.scale)
    with decimal.localcontext() as context:
        context.prec = 300
        assert measure(plan, holding(plan, cell, events)).value == expected
        assert row_answer(plan, [cell[read.atom] for read in reads(plan.reading)]) == expected


def holding(plan: MetricPlan, states: Sequence[Decimal | int], events: int) -> Cell:
    cell = compile_cells(plan).empty()
    cell.events = events
    for atom, state in enumerate(states):
        cell[atom] = state
    return cell


def _state(plan: MetricPlan, index: int, values: dict[str, Decimal | int]) -> Decimal | int:
    atom = plan.atoms[index]
    if atom.kind == "count":
        return values["count(sale)"]
    return values["sum(sale.amount)" if atom.scale else "sum(sale.pieces)"]


def on_paper(formula: str, values: dict[str, Fraction]) -> Fraction | None:
    """Evaluate by Python's own operators; None at a division by zero."""
    text = formula.replace("0.125", 'half("0.125")').replace(" 7", ' half("7")')
    text = text.replace("(7", '(half("7")')
    for number, name in enumerate(values):
        text = text.replace(name, f"v{number}")
    names = {f"v{number}": value for number, value in enumerate(values.values())}
    try:
        found = eval(text, {"half": Fraction, **names})  # noqa: S307 - made above
    except ZeroDivisionError:
        return None
    return Fraction(found)


def half_away_from_zero(value: Fraction, scale: int) -> Decimal:
    whole = int(abs(value) * 10**scale + Fraction(1, 2))
    return Decimal(whole if value >= 0 else -whole).scaleb(-scale)


@pytest.mark.parametrize(
    ("formula", "values", "expected"),
    [
        ("sum(sale.pieces) / count(sale)", (500, 1001), "0.499500"),
        ("sum(sale.pieces) / count(sale) * 1000000000", (1, 3), "333333333.333"),
        ("count(sale) / (sum(sale.pieces) / count(sale))", (3, 7), "16.333333"),
        ("avg(sale.pieces)", (2, 3), "0.666667"),
    ],
)
def test_a_quotient_stays_a_fraction(formula: str, values: tuple[int, int], expected: str) -> None:
    """Nine places in between gave 0.499501 and 333333333.000."""
    scale = len(expected.partition(".")[2])
    plan = plan_metric(metric_contract(formula, scale=scale), events=event_contracts())
    cell = [values[0] if atom.kind == "sum" else values[1] for atom in plan.atoms]

    assert str(measure(plan, holding(plan, cell, values[1])).value) == expected
    assert str(row_answer(plan, [cell[read.atom] for read in reads(plan.reading)])) == expected


def test_a_wide_sum_comes_in_two_parts() -> None:
    """Whole multiples, and the rest, which may be negative."""
    plan = plan_metric(metric_contract("sum(sale.pieces * sale.amount)"), events=event_contracts())

    found = row_answer(plan, [[Decimal(10) ** 37, Decimal("-0.25")]])

    assert found == 10**37 * SUM_PART - Decimal("0.25")


@given(value=st.decimals(-(10**12), 10**12, places=6, allow_nan=False), scale=st.integers(0, 5))
def test_rounding_is_half_away_from_zero(value: Decimal, scale: int) -> None:
    """A plain number and a fraction are rounded alike, and the answer shows its places."""
    expected = half_away_from_zero(Fraction(value), scale)

    assert rounded(value, scale) == settled(fraction(value), scale) == expected
    assert str(rounded(value, scale)) == str(settled(fraction(value), scale))


def test_an_answer_is_never_minus_zero() -> None:
    """`-0.00` is a number nobody asked for."""
    assert str(rounded(Decimal("-0.001"), 2)) == "0.00"
    assert str(rounded(Decimal("-0.00"), 2)) == "0.00"
    assert str(settled((-1, 1000), 2)) == str(settled((0, -3), 2)) == "0.00"


@pytest.mark.parametrize("operator", "+-*/")
def test_null_propagates(operator: str) -> None:
    """A ratio over nothing is no number, and neither is what is computed from it."""
    assert combine(operator, None, (1, 1)) is None
    assert combine(operator, (1, 1), None) is None
    assert combine("/", (1, 1), (0, 5)) is None
