"""Arithmetic of a metric as ANSI SQL: exact within 38 digits, an error of the engine beyond.

How many digits `/` keeps is each engine's own affair: four in one, a float in the next. So every
division is carried to the outside, and the one that is left is done by parts, each of a number by
another that divides it: its result is a whole number, which even a float finds. Nothing else is
divided, and numbers of unlike places are made alike first, as some engines compute the remainder
of unlike ones in floats. A value that outgrows a decimal, or a part that outgrows what a float can
find, fails to cast: the engine raises, and never answers another number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from agentflow.errors import ExpressionError
from agentflow.export.ansi import DIGITS, widened
from agentflow.expressions.aggregates import AGGREGATES, Formula
from agentflow.expressions.nodes import (
    Aggregate,
    Combine,
    MetricNode,
    Number,
    divides,
    spelled_out,
)
from agentflow.expressions.sql import literal
from agentflow.expressions.typing import ExpressionType
from agentflow.metrics.arithmetic import RATIO_SCALE

_SURE_DIGITS = 14
"""How long a whole quotient may be that is found by one division of floats."""


@dataclass(frozen=True, slots=True)
class Term:
    """SQL of a whole number or a decimal, and its type."""

    text: str
    type: ExpressionType


@dataclass(frozen=True, slots=True)
class _Exact:
    """SQL of a decimal, how many places it has, and whether it has all the digits there are."""

    text: str
    scale: int = 0
    roomy: bool = True

    def to(self, scale: int) -> str:
        """Return the SQL of the same number as a decimal of all digits and *scale* places."""
        fits = self.roomy and self.scale == scale
        return self.text if fits else widened(self.text, scale)


@dataclass(frozen=True, slots=True)
class _Quotient:
    """`top` over `bottom`; a bottom of None is one."""

    top: _Exact
    bottom: _Exact | None = None


def rounded(node: MetricNode, *, scale: int | None, aggregate: Callable[[Aggregate], Term]) -> str:
    """Return the SQL of a metric's value.

    Args:
        node: The value.
        scale: Places of the answer; None for those that follow from it.
        aggregate: Writes an aggregate; an average is asked for as a sum and a count.

    Raises:
        ExpressionError: If the value has more places than a decimal holds.
    """
    if divides(node):
        return _divided(_quotient(node, aggregate), RATIO_SCALE if scale is None else scale)
    if isinstance(node, Aggregate):  # alone, it stays as people would write it
        alone = aggregate(node)
        found = _Exact(alone.text, alone.type.scale)
    else:
        found = _quotient(node, aggregate).top
    return found.text if scale is None or scale >= found.scale else f"ROUND({found.text}, {scale})"


def _divided(quotient: _Quotient, scale: int) -> str:
    """Divide and round half away from zero: whole part and fraction, of one sign, by remainders.

    The whole part is found twice: a float misses a long one by little, which is whole again.
    """
    above, below = quotient.top, quotient.bottom or _Exact("1", roomy=False)
    places = max(above.scale, below.scale)
    top, bottom = above.to(places), below.to(places)
    rest = f"MOD({top}, {bottom})"
    multiple = f"({top} - {rest})"
    nearly = widened(f"{multiple} / {bottom}")
    missed = f"CAST(({multiple} - {nearly} * {bottom}) / {bottom} AS DECIMAL({_SURE_DIGITS}, 0))"
    half = f"CASE WHEN {rest} < 0 THEN -ABS({bottom}) ELSE ABS({bottom}) END"
    moved = f"({rest} * {2 * 10**scale} + {half})"
    twice = f"({bottom} * 2)"
    last_places = widened(f"({moved} - MOD({moved}, {twice})) / {twice}")
    fraction = f"{last_places} * {_last_place(scale)}" if scale else last_places
    return f"{nearly} + {missed} + {fraction}"


def _last_place(scale: int) -> str:
    """Return one in the last of *scale* places.

    >>> _last_place(2)
    '0.01'
    """
    return f"0.{'1'.rjust(scale, '0')}"


def _quotient(node: MetricNode, aggregate: Callable[[Aggregate], Term]) -> _Quotient:
    match node:
        case Number(value=value):
            return _Quotient(_Exact(literal(value), _places(value), roomy=False))
        case Aggregate(kind=kind):
            if isinstance(formula := AGGREGATES[kind].meaning, Formula):
                return _quotient(spelled_out(node, formula), aggregate)
            term = aggregate(node)
            scale = term.type.scale
            return _Quotient(_Exact(widened(term.text, scale), scale))
        case Combine(left=left, right=right):
            return _combined(node, _quotient(left, aggregate), _quotient(right, aggregate))


def _combined(node: Combine, left: _Quotient, right: _Quotient) -> _Quotient:
    if node.operator == "/":
        return _over(left, right)
    bottom = _times(left.bottom, right.bottom) if left.bottom else right.bottom
    if node.operator == "*":
        return _Quotient(_times(left.top, right.top), bottom)
    first, second = _times(left.top, right.bottom), _times(right.top, left.bottom)
    text = f"({first.text} {node.operator} {second.text})"
    roomy = first.roomy or second.roomy
    return _Quotient(_Exact(text, max(first.scale, second.scale), roomy), bottom)


def _over(left: _Quotient, right: _Quotient) -> _Quotient:
    """Divide; null when the divisor is zero, as it is already when it divides by zero itself."""
    divisor = replace(right.top, text=f"NULLIF({right.top.text}, 0)")
    return _Quotient(
        _times(left.top, right.bottom), _times(left.bottom, divisor) if left.bottom else divisor
    )


def _times(left: _Exact, right: _Exact | None) -> _Exact:
    if right is None:
        return left
    scale = left.scale + right.scale
    if scale > DIGITS:
        raise ExpressionError(
            f"a product keeps {scale} places, more than the {DIGITS} digits of a decimal",
            hint="Multiply fewer aggregates, or of fields with a smaller scale.",
        )
    return _Exact(f"({left.text} * {right.text})", scale, left.roomy or right.roomy)


def _places(value: int | Decimal) -> int:
    """Return how many digits a number is written with after the point.

    >>> _places(Decimal("0.125")), _places(7)
    (3, 0)
    """
    exponent = Decimal(value).as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0
