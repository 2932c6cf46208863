"""How large a number an expression can become: what lint bounds and where SQL needs room.

Bounds come from types alone: a 64-bit integer has 19 digits, a decimal 18 before the point.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from agentflow.expressions.aggregates import AGGREGATES
from agentflow.expressions.nodes import (
    Aggregate,
    Arithmetic,
    Call,
    Case,
    Combine,
    Constant,
    FieldReference,
    MetricNode,
    Negative,
    Node,
    Number,
)
from agentflow.expressions.typing import ExpressionType, Scope, infer

INTEGER_DIGITS = 19
WHOLE_DIGITS_OF_DECIMAL = 18
EVENTS_DIGITS = 12
"""A sum is bounded for a million million events in one cell."""

_CALLS = {"length": 10, "hour": 2, "milliseconds_between": 18}


@dataclass(frozen=True, slots=True, order=True)
class Precision:
    """Most digits before the point, and digits after it."""

    whole: int
    scale: int

    @property
    def digits(self) -> int:
        """All digits, which is what an engine has to hold."""
        return self.whole + self.scale


def scalar_precision(node: Node, scope: Scope) -> Precision | None:
    """Return the precision of an exact number; None for a float or anything but a number.

    Args:
        node: An expression that type-checks in *scope*.
        scope: The fields and their types.
    """
    if infer(node, scope).kind not in {"integer", "decimal"}:
        return None
    return _scalar(node, scope)


def metric_precision(node: MetricNode, values: dict[Aggregate, Precision]) -> Precision:
    """Return how far the arithmetic of a metric precisions.

    Args:
        node: The value of a metric.
        values: How far the value of each sum, average, extreme or quantile precisions.
    """
    match node:
        case Number(value=value):
            return _literal(value)
        case Combine(operator="*", left=left, right=right):
            return _product(metric_precision(left, values), metric_precision(right, values))
        case Combine(operator="/", left=left, right=right):
            top, bottom = metric_precision(left, values), metric_precision(right, values)
            return Precision(top.whole + bottom.scale, top.scale + bottom.whole)
        case Combine(left=left, right=right):
            return _total([metric_precision(left, values), metric_precision(right, values)])
        case Aggregate(kind=kind):
            precision = values.get(node, Precision(0, 0))
            grows = EVENTS_DIGITS if AGGREGATES[kind].grows else 0
            return Precision(precision.whole + grows, precision.scale)


def _scalar(node: Node, scope: Scope) -> Precision:
    match node:
        case Constant(value=int() | Decimal() as value):
            return _literal(value)
        case FieldReference(name=name):
            return _field(scope[name])
        case Negative(operand=operand):
            return _scalar(operand, scope)
        case Arithmetic(operator="*", left=left, right=right):
            return _product(_scalar(left, scope), _scalar(right, scope))
        case Arithmetic(left=left, right=right):
            return _total([_scalar(left, scope), _scalar(right, scope)])
        case Case(branches=branches, otherwise=otherwise):
            return _widest([*(then for _, then in branches), otherwise], scope)
        case Call(name="coalesce" | "abs", arguments=arguments):
            return _widest(arguments, scope)
        case Call(name=name):
            return Precision(_CALLS.get(name, INTEGER_DIGITS), 0)
        case _:
            return Precision(0, 0)


def _field(kind: ExpressionType) -> Precision:
    whole = INTEGER_DIGITS if kind.kind == "integer" else WHOLE_DIGITS_OF_DECIMAL
    return Precision(whole, kind.scale)


def _literal(value: int | Decimal) -> Precision:
    sign, digits, exponent = Decimal(value).as_tuple()
    del sign
    scale = -exponent if isinstance(exponent, int) else 0
    return Precision(max(len(digits) - scale, 0), scale)


def _product(left: Precision, right: Precision) -> Precision:
    return Precision(left.whole + right.whole, left.scale + right.scale)


def _total(parts: list[Precision]) -> Precision:
    return Precision(max(part.whole for part in parts) + 1, max(part.scale for part in parts))


def _widest(nodes: list[Node] | tuple[Node, ...], scope: Scope) -> Precision:
    parts = [_scalar(node, scope) for node in nodes]
    return Precision(max(part.whole for part in parts), max(part.scale for part in parts))
