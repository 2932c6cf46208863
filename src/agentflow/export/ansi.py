"""Expressions as ANSI SQL, the dialect that exported documents share.

`agentflow.expressions.sql` emits what our own engine runs; this emits what any other one reads.
"""

from __future__ import annotations

from agentflow.expressions.nodes import (
    And,
    Arithmetic,
    Call,
    Case,
    Comparison,
    Constant,
    FieldReference,
    IsNull,
    Membership,
    Negative,
    Node,
    Not,
    Or,
)
from agentflow.expressions.sql import literal

_FUNCTIONS = {
    "length": "CHAR_LENGTH({0})",
    "starts_with": "(POSITION({1} IN {0}) = 1)",
    "ends_with": "(SUBSTRING({0} FROM CHAR_LENGTH({0}) - CHAR_LENGTH({1}) + 1) = {1})",
    "contains": "(POSITION({1} IN {0}) > 0)",
    "abs": "ABS({0})",
    "hour": "EXTRACT(HOUR FROM {0})",
    # the one that ANSI lacks; PostgreSQL, Snowflake, Trino-like and DuckDB engines read it
    "milliseconds_between": "CAST(FLOOR(EXTRACT(EPOCH FROM ({1} - {0})) * 1000) AS BIGINT)",
}
_RESERVED = frozenset(
    """
    all and any array as asc between both by case cast check collate column constraint create
    cross current default delete desc distinct drop else end escape except exists extract false
    fetch filter for foreign from full grant group grouping groups having if in inner insert
    intersect interval into is join lateral leading left like limit natural new no not null nulls
    of offset on or order outer over partition primary range recursive references right row rows
    select set some table tablesample then to trailing treat true union unique update user using
    values when where window with within
    """.split()  # noqa: SIM905 - a hundred quoted words on as many lines read worse
)
"""Words that at least one widespread engine refuses as a plain column name."""


def identifier(name: str) -> str:
    """Return a column name, quoted only when it must be: engines fold plain ones as they like.

    >>> identifier("amount"), identifier("order")
    ('amount', '"order"')
    """
    return f'"{name}"' if name in _RESERVED else name


def ansi(  # noqa: C901, PLR0911 - one branch for each kind of node
    node: Node, *, table: str | None = None
) -> str:
    """Return the ANSI SQL of a scalar expression; *table* qualifies its columns."""

    def emit(inner: Node) -> str:
        return ansi(inner, table=table)

    match node:
        case Constant(value=value):
            return literal(value)
        case FieldReference(name=name):
            return f"{table}.{identifier(name)}" if table else identifier(name)
        case Negative(operand=operand):
            return f"(-{emit(operand)})"
        case Arithmetic() | Comparison() | And() | Or():
            return f"({emit(node.left)} {_operator(node)} {emit(node.right)})"
        case Not(operand=operand):
            return f"(NOT {emit(operand)})"
        case IsNull(operand=operand):
            return f"({emit(operand)} IS NULL)"
        case Membership(operand=operand, options=options):
            return f"({emit(operand)} IN ({', '.join(emit(option) for option in options)}))"
        case Case(branches=branches, otherwise=otherwise):
            whens = " ".join(f"WHEN {emit(when)} THEN {emit(then)}" for when, then in branches)
            return f"(CASE {whens} ELSE {emit(otherwise)} END)"
        case Call(name="coalesce", arguments=arguments):
            return f"COALESCE({', '.join(emit(argument) for argument in arguments)})"
        case Call(name=name, arguments=arguments):
            return _FUNCTIONS[name].format(*(emit(argument) for argument in arguments))


def _operator(node: Arithmetic | Comparison | And | Or) -> str:
    match node:
        case And():
            return "AND"
        case Or():
            return "OR"
        case _:
            return "<>" if node.operator == "!=" else node.operator
