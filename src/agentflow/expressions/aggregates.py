"""The aggregates of the metric language: what each takes, what it means, how contracts write it.

Parser, lint, plan, exports and the reference page read this table; the engines read it through the
plan. An aggregate is either a number read from a state that every engine keeps, or arithmetic over
other aggregates of the same values. What an engine does to keep and read a state is said in
`agentflow.metrics.atoms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, assert_never

AggregateKind = Literal["sum", "count", "distinct", "avg", "min", "max", "quantile"]
AtomKind = Literal["sum", "count", "multiset", "distinct"]
ReadKind = Literal["total", "number", "size", "min", "max", "quantile"]
ArgumentForm = Literal["events", "distinct values", "value", "value and fraction"]

EXACT = frozenset({"integer", "decimal"})
"""Kinds of values that are added and compared with no rounding."""
COUNTABLE = frozenset({"string", "integer", "boolean"})
"""Kinds of values of which every engine says alike whether two are equal."""


@dataclass(frozen=True, slots=True)
class StateRead:
    """A number read from a state.

    Attributes:
        ansi: The same as ANSI SQL over `{value}`, and `{q}` where there is a fraction.
    """

    atom: AtomKind
    read: ReadKind
    ansi: str


@dataclass(frozen=True, slots=True)
class Formula:
    """Arithmetic over two aggregates of the same values."""

    left: AggregateKind
    operator: Literal["+", "-", "*", "/"]
    right: AggregateKind


@dataclass(frozen=True, slots=True)
class AggregateFunction:
    """One aggregate.

    Attributes:
        name: The word that contracts write before the bracket.
        form: What stands in the bracket.
        takes: The kinds its values may have; none where events are counted.
        grows: The answer can exceed every value, by as many times as there are events.
        in_unit: The answer has the unit of the values, so amounts of two units must not meet.
    """

    name: str
    form: ArgumentForm
    takes: frozenset[str]
    meaning: StateRead | Formula
    grows: bool
    in_unit: bool


_QUANTILE = "PERCENTILE_DISC({q}) WITHIN GROUP (ORDER BY {value})"
"""The discrete percentile is the nearest rank, as the metric language defines it."""

AGGREGATES: Mapping[AggregateKind, AggregateFunction] = MappingProxyType(
    {
        "sum": AggregateFunction(
            "sum",
            "value",
            EXACT,
            StateRead("sum", "total", "COALESCE(SUM({value}), 0)"),
            grows=True,
            in_unit=True,
        ),
        "count": AggregateFunction(
            "count",
            "events",
            frozenset(),
            StateRead("count", "number", "COUNT({value})"),
            grows=True,
            in_unit=False,
        ),
        "distinct": AggregateFunction(
            "count",
            "distinct values",
            COUNTABLE,
            StateRead("distinct", "size", "COUNT(DISTINCT {value})"),
            grows=True,
            in_unit=False,
        ),
        "avg": AggregateFunction(
            "avg", "value", EXACT, Formula("sum", "/", "count"), grows=True, in_unit=True
        ),
        "min": AggregateFunction(
            "min",
            "value",
            EXACT,
            StateRead("multiset", "min", "MIN({value})"),
            grows=False,
            in_unit=True,
        ),
        "max": AggregateFunction(
            "max",
            "value",
            EXACT,
            StateRead("multiset", "max", "MAX({value})"),
            grows=False,
            in_unit=True,
        ),
        "quantile": AggregateFunction(
            "quantile",
            "value and fraction",
            EXACT,
            StateRead("multiset", "quantile", _QUANTILE),
            grows=False,
            in_unit=True,
        ),
    }
)

WORDS: Mapping[str, AggregateKind] = MappingProxyType(
    {each.name: kind for kind, each in AGGREGATES.items() if each.form != "distinct values"}
)
"""The aggregate that a word before a bracket begins; `distinct` in the bracket makes another."""

OTHER_AGGREGATES = {
    "median": "Write quantile(sale.amount, 0.5).",
    "percentile": "Write quantile(sale.amount, 0.95).",
    "average": "Write avg(sale.amount).",
    "mean": "Write avg(sale.amount).",
    "count_distinct": "Write count(distinct sale.buyer).",
    "distinct": "Write count(distinct sale.buyer).",
    **dict.fromkeys(
        ("if", "iff", "case"),
        "A condition stands inside of an aggregate: sum(case when sale.amount > 10 then 1 else 0"
        " end), or count(sale) filter (where amount > 10).",
    ),
    **dict.fromkeys(("count_if", "countif"), "Write count(sale) filter (where amount > 10)."),
    **dict.fromkeys(("sum_if", "sumif"), "Write sum(sale.amount) filter (where currency = 'EUR')."),
    **dict.fromkeys(
        ("coalesce", "ifnull", "nvl"), "Write it inside: sum(coalesce(sale.amount, 0))."
    ),
}
"""What people write who know other languages, and what says it here."""


def hint() -> str:
    """Return which aggregates there are, in a sentence."""
    return f"Aggregates: {', '.join(WORDS)}, and count(distinct …)."


def is_ratio(kind: AggregateKind) -> bool:
    """Tell whether an aggregate divides, so that its answer has the scale of a ratio.

    >>> is_ratio("avg"), is_ratio("sum")
    (True, False)
    """
    match AGGREGATES[kind].meaning:
        case StateRead():
            return False
        case Formula(left=left, operator=operator, right=right):
            return operator == "/" or is_ratio(left) or is_ratio(right)
        case unknown:
            assert_never(unknown)


def is_counted(kind: AggregateKind) -> bool:
    """Tell whether an aggregate is a number of things, which nothing at all makes 0.

    >>> is_counted("distinct"), is_counted("sum")
    (True, False)
    """
    return AGGREGATES[kind].grows and not AGGREGATES[kind].in_unit
