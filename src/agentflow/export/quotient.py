"""Arithmetic of a metric as ANSI SQL that divides once, by whole numbers, and rounds once.

How many digits `/` keeps is each engine's own affair: four in one, a float in the next. So every
division is carried to the outside, and the one that is left is of a whole number by another that
divides it. An engine whose `/` gives a float (DuckDB) is exact for answers of up to 15 digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentflow.expressions.aggregates import AGGREGATES, Formula, is_counted
from agentflow.expressions.nodes import (
    Aggregate,
    Combine,
    MetricNode,
    Number,
    divides,
    spelled_out,
)
from agentflow.expressions.sql import literal
from agentflow.metrics.arithmetic import RATIO_SCALE


@dataclass(frozen=True, slots=True)
class _Quotient:
    """`top` over `bottom`, both SQL; a bottom of None is one."""

    top: str
    bottom: str | None = None


def rounded(node: MetricNode, *, scale: int | None, aggregate: Callable[[Aggregate], str]) -> str:
    """Return the SQL of a metric's value.

    Args:
        node: The value.
        scale: Places of the answer; None for those that follow from it.
        aggregate: Writes an aggregate; an average is asked for as a sum and a count.
    """
    if not divides(node):
        text = _plain(node, aggregate)
        return text if scale is None else f"ROUND({text}, {scale})"
    return _divided(_quotient(node, aggregate), RATIO_SCALE if scale is None else scale)


def _divided(quotient: _Quotient, scale: int) -> str:
    """Divide and round half away from zero: the numerator is moved by half of the denominator."""
    top, bottom = quotient.top, quotient.bottom or "1"
    half = f"CASE WHEN {top} < 0 THEN -ABS({bottom}) ELSE ABS({bottom}) END"
    moved = f"({top} * {2 * 10**scale} + {half})"
    whole = f"({moved} - MOD({moved}, 2 * {bottom})) / (2 * {bottom})"
    unscaled = f"CAST({whole} AS DECIMAL(38, 0))"
    return f"{unscaled} * {_last_place(scale)}" if scale else unscaled


def _last_place(scale: int) -> str:
    """Return one in the last of *scale* places.

    >>> _last_place(2)
    '0.01'
    """
    return f"0.{'1'.rjust(scale, '0')}"


def _plain(node: MetricNode, aggregate: Callable[[Aggregate], str]) -> str:
    """Return the SQL of what divides nowhere, as people would write it."""
    match node:
        case Number(value=value):
            return literal(value)
        case Aggregate(kind=kind):
            if isinstance(formula := AGGREGATES[kind].meaning, Formula):
                return _plain(spelled_out(node, formula), aggregate)
            return aggregate(node)
        case Combine(operator=operator, left=left, right=right):
            return f"({_plain(left, aggregate)} {operator} {_plain(right, aggregate)})"


def _quotient(node: MetricNode, aggregate: Callable[[Aggregate], str]) -> _Quotient:
    match node:
        case Number(value=value):
            return _Quotient(literal(value))
        case Aggregate(kind=kind):
            if isinstance(formula := AGGREGATES[kind].meaning, Formula):
                return _quotient(spelled_out(node, formula), aggregate)
            text = aggregate(node)
            return _Quotient(_wide(text) if is_counted(kind) else text)
        case Combine(left=left, right=right):
            return _combined(node, _quotient(left, aggregate), _quotient(right, aggregate))


def _combined(node: Combine, left: _Quotient, right: _Quotient) -> _Quotient:
    if node.operator == "/":
        return _over(left, right)
    bottom = _times(left.bottom, right.bottom) if left.bottom else right.bottom
    if node.operator == "*":
        return _Quotient(_times(left.top, right.top), bottom)
    sides = _times(left.top, right.bottom), _times(right.top, left.bottom)
    return _Quotient(f"({sides[0]} {node.operator} {sides[1]})", bottom)


def _over(left: _Quotient, right: _Quotient) -> _Quotient:
    """Divide; null when the divisor is zero, as it is already when it divides by zero itself."""
    divisor = f"NULLIF({right.top}, 0)"
    return _Quotient(
        _times(left.top, right.bottom), _times(left.bottom, divisor) if left.bottom else divisor
    )


def _times(left: str, right: str | None) -> str:
    return left if right is None else f"({left} * {right})"


def _wide(count: str) -> str:
    """Give a count room: it has 64 bits in most engines, and what it is multiplied with may not."""
    return f"CAST({count} AS DECIMAL(38, 0))"
