"""Arithmetic of metric values, against DuckDB and against fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.metrics.arithmetic import Value, combine, divide, rounded
from agentflow.metrics.sql import MACROS

numbers = st.integers(-(10**12), 10**12) | st.decimals(-(10**12), 10**12, places=4, allow_nan=False)


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(MACROS)
    return connection


@settings(max_examples=300)
@given(left=numbers, right=numbers | st.integers(-9, 9))
def test_division_is_exact_to_nine_places_in_both_engines(
    database: duckdb.DuckDBPyConnection, left: int | Decimal, right: int | Decimal
) -> None:
    """Half away from zero, by integers: a float would differ in the last digit."""
    text = "SELECT agentflow_divide(CAST($a AS DECIMAL(38, 4)), CAST($b AS DECIMAL(38, 4)))"

    found = divide(left, right)

    assert database.execute(text, {"a": str(left), "b": str(right)}).fetchall()[0][0] == found
    if right == 0:
        assert found is None
        return
    exact = Fraction(left) / Fraction(right)
    whole = int(abs(exact) * 10**9 + Fraction(1, 2))
    assert found == Decimal(whole if exact >= 0 else -whole).scaleb(-9)


@settings(max_examples=200)
@given(value=st.integers(-(10**12), 10**12), scale=st.integers(0, 5))
def test_rounding_is_half_away_from_zero_in_both_engines(
    database: duckdb.DuckDBPyConnection, value: int, scale: int
) -> None:
    """The answer is rounded once, at the end."""
    number = Decimal(value).scaleb(-6)

    text = f"SELECT CAST(CAST($n AS DECIMAL(38, 6)) AS DECIMAL(38, {scale}))"
    found = database.execute(text, {"n": str(number)}).fetchall()[0][0]

    assert rounded(number, scale) == found
    assert str(rounded(number, scale)) == str(found)


def test_an_answer_is_never_minus_zero() -> None:
    """`-0.00` is a number nobody asked for."""
    assert str(rounded(Decimal("-0.001"), 2)) == "0.00"
    assert str(rounded(Decimal("-0.00"), 2)) == "0.00"


@pytest.mark.parametrize("operator", "+-*/")
def test_null_propagates(operator: str) -> None:
    """A ratio over nothing is no number, and neither is what is computed from it."""
    assert combine(operator, None, 1) is None
    assert combine(operator, 1, None) is None


@pytest.mark.parametrize(
    ("operator", "left", "right", "result"),
    [
        ("+", 1, 2, 3),
        ("-", 1, Decimal("0.5"), Decimal("0.5")),
        ("*", 3, 4, 12),
        ("/", 1, 0, None),
        ("/", Decimal(0), 5, Decimal(0)),
    ],
)
def test_whole_numbers_stay_whole(operator: str, left: Value, right: Value, result: Value) -> None:
    """A count is a JSON number; it becomes a decimal by dividing only."""
    found = combine(operator, left, right)

    assert found == result
    assert isinstance(found, int) == isinstance(result, int)
