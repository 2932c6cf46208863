"""Exact arithmetic of metric values, the same in every engine.

Division gives nine places, half away from zero; the SQL emitted for each engine computes the same
integers (see `sql.py`), so a ratio is equal to the last digit wherever it is computed.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

DIVISION_SCALE = 9
RATIO_SCALE = 6
EXACT = Context(prec=76, rounding=ROUND_HALF_UP, traps=[DivisionByZero, InvalidOperation, Overflow])
"""Wide enough that sums of money never round; set it before adding decimals."""

Value = int | Decimal | None
_UNIT: int = 10**DIVISION_SCALE
_ZERO = Decimal(0)


def _scaled(value: int | Decimal) -> int:
    if isinstance(value, int):
        return value * _UNIT
    return int(EXACT.multiply(rounded(value, DIVISION_SCALE), Decimal(_UNIT)))


def rounded(value: int | Decimal, scale: int) -> Decimal:
    """Round to *scale* places, half away from zero; never to minus zero.

    >>> rounded(Decimal("-0.125"), 2), rounded(Decimal("-0.001"), 2)
    (Decimal('-0.13'), Decimal('0.00'))
    """
    return EXACT.add(EXACT.quantize(Decimal(value), Decimal(1).scaleb(-scale)), _ZERO)


def divide(left: int | Decimal, right: int | Decimal) -> Decimal | None:
    """Divide exactly to nine places, half away from zero; null when the divisor is zero.

    >>> divide(2, 3)
    Decimal('0.666666667')
    >>> divide(-1, 8)
    Decimal('-0.125000000')
    """
    numerator, denominator = _scaled(left), _scaled(right)
    if denominator == 0:
        return None
    negative = (numerator < 0) != (denominator < 0)
    numerator, denominator = abs(numerator), abs(denominator)
    quotient = (2 * numerator * _UNIT + denominator) // (2 * denominator)
    return Decimal(-quotient if negative else quotient).scaleb(-DIVISION_SCALE, context=EXACT)


def combine(operator: str, left: Value, right: Value) -> Value:
    """Apply one arithmetic operator; null propagates."""
    if left is None or right is None:
        return None
    match operator:
        case "+":
            return _exact(EXACT.add(left, right), left, right)
        case "-":
            return _exact(EXACT.subtract(left, right), left, right)
        case "*":
            return _exact(EXACT.multiply(left, right), left, right)
        case _:
            return divide(left, right)


def _exact(result: Decimal, left: int | Decimal, right: int | Decimal) -> int | Decimal:
    return int(result) if isinstance(left, int) and isinstance(right, int) else result
