"""Emit DuckDB SQL from scalar expressions.

Literals are rendered, not bound: contract text is reviewed source, and every literal is escaped.
Whole numbers are computed in 128 bits: the sum of two 64-bit fields is a number, not an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from agentflow.expressions.functions import FUNCTIONS
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
from agentflow.expressions.typing import Scope, infer


def quote_name(name: str) -> str:
    """Quote an identifier.

    >>> quote_name("order.created")
    '"order.created"'
    """
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Quote text, as every dialect of SQL reads it.

    >>> quote_text("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def literal(value: str | int | Decimal | bool | None) -> str:
    """Render a literal; decimals in full, since `1E-7` would be a float.

    >>> literal("it's"), literal(Decimal("0.0000001"))
    ("'it''s'", '0.0000001')
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            return quote_text(value)
        case int():
            return str(value)
        case Decimal():
            return f"{value:f}"


def _on_one_line(value: str | int | Decimal | bool | None) -> str:
    r"""Render a literal for DuckDB without a line break, which indenting the SQL would change.

    >>> print(_on_one_line("it's\\\na"))
    E'it''s\\\na'
    """
    if not isinstance(value, str) or "\n" not in value:
        return literal(value)
    return "E" + quote_text(value.replace("\\", r"\\").replace("\n", r"\n"))


def scalar_sql(node: Node, *, field: Callable[[str], str], scope: Scope) -> str:
    """Return the DuckDB expression of *node*; *field* renders a field's column."""

    def emit(inner: Node) -> str:
        return scalar_sql(inner, field=field, scope=scope)

    def wide(inner: Node) -> str:
        whole = infer(inner, scope).kind == "integer"
        return f"CAST({emit(inner)} AS HUGEINT)" if whole else emit(inner)

    def alike(inner: Sequence[Node]) -> list[str]:
        """Emit alternatives; of decimals, DuckDB would take the first scale and round the rest."""
        scales = {kind.scale for each in inner if (kind := infer(each, scope)).kind == "decimal"}
        if len(scales) <= 1:
            return [emit(each) for each in inner]
        return [f"CAST({emit(each)} AS DECIMAL(38, {max(scales)}))" for each in inner]

    match node:
        case Constant(value=value):
            return _on_one_line(value)
        case FieldReference(name=name):
            return field(name)
        case Negative(operand=operand):
            return f"(-{wide(operand)})"
        case Arithmetic(operator=operator, left=left, right=right):
            return f"({wide(left)} {operator} {wide(right)})"
        case Comparison(operator=operator, left=left, right=right):
            return f"({emit(left)} {'<>' if operator == '!=' else operator} {emit(right)})"
        case And(left=left, right=right):
            return f"({emit(left)} AND {emit(right)})"
        case Or(left=left, right=right):
            return f"({emit(left)} OR {emit(right)})"
        case Not(operand=operand):
            return f"(NOT {emit(operand)})"
        case IsNull(operand=operand):
            return f"({emit(operand)} IS NULL)"
        case Membership(operand=operand, options=options):
            listed = ", ".join(_on_one_line(option.value) for option in options)
            return f"({emit(operand)} IN ({listed}))"
        case Case(branches=branches, otherwise=otherwise):
            *results, last = alike([*(then for _, then in branches), otherwise])
            conditions = [emit(when) for when, _ in branches]
            pairs = zip(conditions, results, strict=True)
            whens = " ".join(f"WHEN {when} THEN {then}" for when, then in pairs)
            return f"(CASE {whens} ELSE {last} END)"
        case Call(name="coalesce", arguments=arguments):
            return f"COALESCE({', '.join(alike(arguments))})"
        case Call(name=name, arguments=arguments):
            return FUNCTIONS[name].sql.format(*(wide(argument) for argument in arguments))
