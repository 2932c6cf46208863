"""The functions of the expression language, each with its Python and its SQL meaning.

Only functions that every engine computes equally for every input are here: no case folding (Unicode
tables differ between engines), no floating-point logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    Attributes:
        parameters: The kinds each argument may have.
        result: The kind of the result; `same` is the kind of the first argument.
        python: Template over `{0}`, `{1}`…, for non-null arguments.
        sql: Template for DuckDB, null in null out.
    """

    parameters: tuple[frozenset[str], ...]
    result: Literal["integer", "boolean", "same"]
    python: str
    sql: str


_STRING = frozenset({"string"})
_INSTANT = frozenset({"timestamp"})
_NUMERIC = frozenset({"integer", "decimal", "number"})

FUNCTIONS: dict[str, Function] = {
    "length": Function((_STRING,), "integer", "len({0})", "LENGTH({0})"),
    "starts_with": Function(
        (_STRING, _STRING), "boolean", "{0}.startswith({1})", "STARTS_WITH({0}, {1})"
    ),
    "ends_with": Function((_STRING, _STRING), "boolean", "{0}.endswith({1})", "SUFFIX({0}, {1})"),
    "contains": Function((_STRING, _STRING), "boolean", "({1} in {0})", "CONTAINS({0}, {1})"),
    "abs": Function((_NUMERIC,), "same", "abs({0})", "ABS({0})"),
    "hour": Function(
        (_INSTANT,),
        "integer",
        "({0} // 3600000000 % 24)",
        "(((EPOCH_US({0}) % 86400000000 + 86400000000) % 86400000000) // 3600000000)",
    ),
    "milliseconds_between": Function(
        (_INSTANT, _INSTANT),
        "integer",
        "(({1} - {0}) // 1000)",
        "((EPOCH_US({1}) - EPOCH_US({0})"
        " - ((EPOCH_US({1}) - EPOCH_US({0})) % 1000 + 1000) % 1000) // 1000)",
    ),
    "coalesce": Function((), "same", "", ""),  # variadic; both emitters know it by name
}

WRITTEN_ELSEWHERE = {
    "like": "Write starts_with(x, 'a'), ends_with(x, 'a') or contains(x, 'a').",
    "ilike": "Write starts_with(x, 'a'), ends_with(x, 'a') or contains(x, 'a').",
    **dict.fromkeys(("if", "iff"), "Write case when a > 1 then 'x' else 'y' end."),
    "ifnull": "Write coalesce(a, 0).",
    "nvl": "Write coalesce(a, 0).",
    "substring": "Text is only compared: starts_with(x, 'a'), ends_with or contains.",
    "where": "Write it as a filter: sum(sale.amount) filter (where amount > 10).",
    "over": "There are no window functions: windows are declared beside the value.",
    "group": "Grouping is declared: add the field to dimensions.",
    "having": "A filter looks at one event: sum(sale.amount) filter (where amount > 10).",
}
"""What people write who know SQL, and what says it here."""
