"""What each engine does to keep an atom and to read it: generated Python, and DuckDB SQL.

An atom is the smallest state that can be kept, merged and taken back. Which aggregate is read from
which atom is said in `agentflow.expressions.aggregates`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from agentflow.expressions.aggregates import AtomKind, ReadKind
from agentflow.metrics.arithmetic import ExactValue
from agentflow.metrics.distinct_values import DistinctPart
from agentflow.metrics.state import Distinct, Multiset

Quantile = tuple[int, int]
"""A fraction of whole numbers; only a quantile looks at it."""
SUM_PART = 10**9
"""A sum that can outgrow 128 bits comes in two parts: whole multiples of this, and the rest."""


@dataclass(frozen=True, slots=True)
class AtomSource:
    """The Python that the evaluator writes for one kind of atom.

    Attributes:
        number: Whether it is a number, merged by `+` and `-`; all others have a `merge`.
        scaled: Whether it keeps the scale of its values; what counts has none.
        empty: Its state of nothing, over `{scale}` and `{zero}`, a number of that scale.
        delta: What gathers its changes before they are merged.
        moved: The lines that add (`{sign}` is `+`) or take back `{value}` in `c[{index}]`.
    """

    number: bool
    scaled: bool
    empty: str
    delta: str
    moved: tuple[str, ...]

    def zero(self, source: str, scale: int) -> str:
        """Return `empty` or `delta` for a scale."""
        return source.format(scale=scale, zero="_ZERO" if scale else "0")


_COUNTED = ("m = c[{index}]", "v = {value}", "m[v] = m.get(v, 0) {sign} 1")

ATOMS: Mapping[AtomKind, AtomSource] = MappingProxyType(
    {
        "sum": AtomSource(
            number=True,
            scaled=True,
            empty="{zero}",
            delta="{zero}",
            moved=("c[{index}] {sign}= {value}",),
        ),
        "count": AtomSource(
            number=True, scaled=False, empty="0", delta="0", moved=("c[{index}] {sign}= 1",)
        ),
        "multiset": AtomSource(
            number=False, scaled=True, empty="Multiset({scale})", delta="{{}}", moved=_COUNTED
        ),
        "distinct": AtomSource(
            number=False, scaled=False, empty="Distinct()", delta="{{}}", moved=_COUNTED
        ),
    }
)

STATES: Mapping[str, object] = MappingProxyType({"Multiset": Multiset, "Distinct": Distinct})
"""The classes that `AtomSource.empty` names."""


@dataclass(frozen=True, slots=True)
class SqlColumn:
    """What events give to an atom, as a column of history; null where an event gives nothing.

    Attributes:
        wide: Whether a sum of it may have more digits than DuckDB's 38.
    """

    name: str
    scale: int
    wide: bool


@dataclass(frozen=True, slots=True)
class AtomReader:
    """One number that can be read from an atom.

    Attributes:
        live: Reads the state of the live engine.
        sql: Writes the same over a column of history.
    """

    live: Callable[[object, Quantile], ExactValue]
    sql: Callable[[SqlColumn, Quantile], str]


def _number(state: object, _q: Quantile) -> ExactValue:
    if isinstance(state, int | Decimal):
        return state
    raise TypeError(type(state))


def _size(state: object, _q: Quantile) -> ExactValue:
    if isinstance(state, Distinct | DistinctPart):
        return state.size()
    raise TypeError(type(state))


def _multiset(state: object) -> Multiset:
    if isinstance(state, Multiset):
        return state
    raise TypeError(type(state))


def _sum_sql(column: SqlColumn, _q: Quantile) -> str:
    name, scale = column.name, column.scale
    if not column.wide:
        return f"CAST(COALESCE(SUM({name}), 0) AS DECIMAL(38, {scale}))"
    low = f"({name} % {SUM_PART})"
    high = f"CAST({name} - {low} AS HUGEINT) // {SUM_PART}"
    return (
        f"[CAST(COALESCE(SUM({high}), 0) AS DECIMAL(38, {scale})),"
        f" CAST(COALESCE(SUM({low}), 0) AS DECIMAL(38, {scale}))]"
    )


def _quantile_sql(column: SqlColumn, q: Quantile) -> str:
    name, (numerator, denominator) = column.name, q
    rank = f"(({numerator} * COUNT({name}) + {denominator - 1}) // {denominator})"
    return f"list_sort(list({name}) FILTER (WHERE {name} IS NOT NULL))[{rank}]"


READERS: Mapping[ReadKind, AtomReader] = MappingProxyType(
    {
        "total": AtomReader(_number, _sum_sql),
        "number": AtomReader(
            _number, lambda column, _q: f"CAST(COUNT({column.name}) AS DECIMAL(38, 0))"
        ),
        "size": AtomReader(
            _size, lambda column, _q: f"CAST(COUNT(DISTINCT {column.name}) AS DECIMAL(38, 0))"
        ),
        "min": AtomReader(
            lambda state, _q: _multiset(state).minimum(), lambda column, _q: f"MIN({column.name})"
        ),
        "max": AtomReader(
            lambda state, _q: _multiset(state).maximum(), lambda column, _q: f"MAX({column.name})"
        ),
        "quantile": AtomReader(lambda state, q: _multiset(state).quantile(q), _quantile_sql),
    }
)
