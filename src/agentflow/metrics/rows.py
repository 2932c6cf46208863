"""From a row of a recompute to the number it stands for, by arithmetic of its own.

The live engine has `arithmetic.py`. This is the standard library's `Fraction`, on purpose: a fault
in either makes live and recomputed numbers differ, which is what a proof is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from operator import add, mul, sub, truediv

from agentflow.expressions.nodes import Number
from agentflow.metrics.arithmetic import ExactValue
from agentflow.metrics.atoms import SUM_PART
from agentflow.metrics.plan import AtomRead, MetricPlan, Reading

_OPERATORS: Mapping[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": add,
    "-": sub,
    "*": mul,
    "/": truediv,
}


def reads(node: Reading) -> tuple[AtomRead, ...]:
    """Return what a metric reads of its atoms, in reading order: the columns of a row."""
    return tuple(dict.fromkeys(_reads(node)))


def row_answer(plan: MetricPlan, values: Sequence[object]) -> ExactValue:
    """Compute a metric from the reads of one row, exactly, and round it once.

    Args:
        plan: The metric.
        values: What each of `reads` is: a number, null, or the two parts of a wide sum.
    """
    found = map(_number, values)
    exact = _exact(plan.reading, dict(zip(reads(plan.reading), found, strict=True)))
    if exact is None:
        return None
    unscaled = _half_away_from_zero(exact * 10**plan.scale)
    return unscaled if plan.whole else Decimal(f"{unscaled}E-{plan.scale}")


def _reads(node: Reading) -> Iterator[AtomRead]:
    match node:
        case AtomRead():
            yield node
        case Number():
            return
        case _:
            yield from _reads(node.left)
            yield from _reads(node.right)


def _number(value: object) -> Fraction | None:
    match value:
        case None:
            return None
        case int() | Decimal():
            return Fraction(value)
        case [int() | Decimal() as high, int() | Decimal() as low]:
            return Fraction(high) * SUM_PART + Fraction(low)
        case _:
            raise TypeError(type(value))


def _exact(node: Reading, values: dict[AtomRead, Fraction | None]) -> Fraction | None:
    match node:
        case AtomRead():
            return values[node]
        case Number(value=value):
            return Fraction(value)
        case _:
            left, right = _exact(node.left, values), _exact(node.right, values)
    if left is None or right is None:
        return None
    if node.operator == "/" and not right:
        return None
    return _OPERATORS[node.operator](left, right)


def _half_away_from_zero(value: Fraction) -> int:
    whole, rest = divmod(abs(value), 1)
    nearest = int(whole) + (rest >= Fraction(1, 2))
    return nearest if value >= 0 else -nearest
