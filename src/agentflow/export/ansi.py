"""Expressions as ANSI SQL, the dialect that exported documents share.

`agentflow.expressions.sql` emits what our own engine runs; this emits what any other one reads.
Whole numbers get 38 digits before they are computed with: what does not fit there is an error of
the engine, never another number.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from agentflow.expressions.typing import Scope, infer

DIGITS = 38
"""What a decimal holds in every engine we know of."""
_FUNCTIONS = {
    "length": "CHAR_LENGTH({0})",
    "starts_with": "(POSITION({1} IN {0}) = 1)",
    "ends_with": "(SUBSTRING({0} FROM CHAR_LENGTH({0}) - CHAR_LENGTH({1}) + 1) = {1})",
    "contains": "(POSITION({1} IN {0}) > 0)",
    "abs": "ABS({0})",
    "hour": "EXTRACT(HOUR FROM {0})",
    # the one that ANSI lacks; PostgreSQL, Snowflake, Trino-like and DuckDB engines read it
    # where an epoch is a float, 1.001 s times 1000 is 1000.9999: microseconds are made exact first
    "milliseconds_between": (
        "CAST(FLOOR(CAST(EXTRACT(EPOCH FROM ({1} - {0})) AS DECIMAL(20, 6)) * 1000) AS BIGINT)"
    ),
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


def widened(text: str, scale: int = 0) -> str:
    """Return SQL as a decimal of all the digits there are.

    >>> widened("COUNT(id)")
    'CAST(COUNT(id) AS DECIMAL(38, 0))'
    """
    return f"CAST({text} AS DECIMAL({DIGITS}, {scale}))"


def ansi(  # noqa: C901, PLR0911 - one branch for each kind of node
    node: Node, *, scope: Scope, table: str | None = None
) -> str:
    """Return the ANSI SQL of a scalar expression.

    Args:
        node: An expression that type-checks in *scope*.
        scope: The fields and their types.
        table: What qualifies the columns.
    """

    def emit(inner: Node) -> str:
        return ansi(inner, scope=scope, table=table)

    def wide(inner: Node) -> str:
        """Give a whole number room, but for a literal and for what was computed with room."""
        roomy = isinstance(inner, Constant | Arithmetic | Negative)
        whole = infer(inner, scope).kind == "integer"
        return widened(emit(inner)) if whole and not roomy else emit(inner)

    def alike(inner: Sequence[Node]) -> list[str]:
        """Emit alternatives; of unlike numbers, engines take one's places and round the rest."""
        types = [infer(each, scope) for each in inner]
        numbers = {(kind.kind, kind.scale) for kind in types if kind.kind in {"integer", "decimal"}}
        if len(numbers) <= 1:
            return [emit(each) for each in inner]
        scale = max(scale for _, scale in numbers)
        return [
            emit(each) if kind.kind == "null" else widened(emit(each), scale)
            for each, kind in zip(inner, types, strict=True)
        ]

    match node:
        case Constant(value=value):
            return literal(value)
        case FieldReference(name=name):
            return f"{table}.{identifier(name)}" if table else identifier(name)
        case Negative(operand=operand):
            return f"(-{wide(operand)})"
        case Arithmetic(left=left, right=right):
            return f"({wide(left)} {node.operator} {wide(right)})"
        case Comparison() | And() | Or():
            return f"({emit(node.left)} {_operator(node)} {emit(node.right)})"
        case Not(operand=operand):
            return f"(NOT {emit(operand)})"
        case IsNull(operand=operand):
            return f"({emit(operand)} IS NULL)"
        case Membership(operand=operand, options=options):
            return f"({emit(operand)} IN ({', '.join(emit(option) for option in options)}))"
        case Case(branches=branches, otherwise=otherwise):
            *results, last = alike([*(then for _, then in branches), otherwise])
            conditions = [emit(when) for when, _ in branches]
            pairs = zip(conditions, results, strict=True)
            whens = " ".join(f"WHEN {when} THEN {then}" for when, then in pairs)
            return f"(CASE {whens} ELSE {last} END)"
        case Call(name="coalesce", arguments=arguments):
            return f"COALESCE({', '.join(alike(arguments))})"
        case Call(name=name, arguments=arguments):
            return _FUNCTIONS[name].format(*(wide(argument) for argument in arguments))


def _operator(node: Comparison | And | Or) -> str:
    match node:
        case And():
            return "AND"
        case Or():
            return "OR"
        case _:
            return "<>" if node.operator == "!=" else node.operator
