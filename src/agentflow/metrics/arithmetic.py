"""Exact arithmetic of metric values: fractions of whole numbers, rounded once, at the end.

A value on its way to an answer is a numerator and a denominator of any length. Nothing is rounded
before `settled`, so `sum(a) / sum(b) * 1000` has the digits that the formula has on paper. This is
the live engine's; a recompute from the lake has its own (`rows.py`).
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

RATIO_SCALE = 6
SUM_DIGITS = 76
EXACT = Context(
    prec=SUM_DIGITS, rounding=ROUND_HALF_UP, traps=[DivisionByZero, InvalidOperation, Overflow]
)
"""Wide enough that sums never round; set it before adding decimals. Lint bounds what they reach."""

ExactValue = int | Decimal | None
Fraction = tuple[int, int]
"""Numerator and denominator, not reduced; the denominator is never zero and may be negative."""

_ZERO = Decimal(0)


def fraction(value: int | Decimal) -> Fraction:
    """Return a number as a fraction.

    >>> fraction(Decimal("0.75")), fraction(-2)
    ((3, 4), (-2, 1))
    """
    return value.as_integer_ratio()


def combine(operator: str, left: Fraction | None, right: Fraction | None) -> Fraction | None:
    """Apply one arithmetic operator; null propagates, and a division by zero is null.

    >>> combine("/", (1, 2), (0, 1)), combine("+", (1, 2), (1, 3))
    (None, (5, 6))
    """
    if left is None or right is None:
        return None
    (a, b), (c, d) = left, right
    match operator:
        case "+":
            return a * d + c * b, b * d
        case "-":
            return a * d - c * b, b * d
        case "*":
            return a * c, b * d
        case _:
            return (a * d, b * c) if c else None


def settled(value: Fraction, scale: int) -> Decimal:
    """Round a fraction to *scale* places, half away from zero; never to minus zero.

    >>> settled((500, 1001), 6), settled((-1, 8), 2), settled((-1, 800), 2)
    (Decimal('0.499500'), Decimal('-0.13'), Decimal('0.00'))
    """
    numerator, denominator = value
    negative = (numerator < 0) != (denominator < 0)
    numerator, denominator = abs(numerator) * 10**scale, abs(denominator)
    quotient = (2 * numerator + denominator) // (2 * denominator)
    return Decimal(f"{-quotient if negative else quotient}E-{scale}")


def rounded(value: int | Decimal, scale: int) -> Decimal:
    """Round a number to *scale* places, half away from zero; never to minus zero.

    >>> rounded(Decimal("-0.125"), 2), rounded(Decimal("-0.001"), 2)
    (Decimal('-0.13'), Decimal('0.00'))
    """
    return EXACT.add(EXACT.quantize(Decimal(value), Decimal(1).scaleb(-scale)), _ZERO)
