"""Emit Python source from scalar expressions; the text is compiled by the gate and the evaluator.

Two forms: `value_source` is three-valued (None is null), `truth_source` is true exactly when the
expression is true, which is what filters and branches need and is cheaper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import count

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

_COMPARISONS = {"=": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def _and(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _or(left: bool | None, right: bool | None) -> bool | None:
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


def _coalesce(*values: object) -> object:
    return next((value for value in values if value is not None), None)


NAMESPACE: Mapping[str, object] = {
    "_and": _and,
    "_or": _or,
    "_coalesce": _coalesce,
    "_Decimal": Decimal,
}
"""The names emitted source may use besides builtins; pass a copy to `exec`."""


class PythonEmitter:
    """Emits source over fields rendered by *field*, for example `d.amount`."""

    def __init__(self, scope: Scope, *, field: Callable[[str], str]) -> None:
        self._scope = scope
        self._field = field
        self._names = (f"_t{number}" for number in count())

    def value_source(self, node: Node) -> str:
        """Return source of the value; evaluates to None when it is null."""
        match node:
            case Constant(value=value):
                return _literal(value)
            case FieldReference(name=name):
                return self._field(name)
            case Negative(operand=operand):
                return self._guarded([operand], lambda parts: f"(-{parts[0]})")
            case Arithmetic(operator=operator):
                return self._guarded(
                    self._sides(node), lambda parts: f"({parts[0]} {operator} {parts[1]})", node
                )
            case Comparison(operator=operator):
                symbol = _COMPARISONS[operator]
                return self._guarded(
                    self._sides(node), lambda parts: f"({parts[0]} {symbol} {parts[1]})", node
                )
            case And(left=left, right=right):
                return self._logical("and", left, right)
            case Or(left=left, right=right):
                return self._logical("or", left, right)
            case Not(operand=operand):
                return self._guarded([operand], lambda parts: f"(not {parts[0]})")
            case IsNull(operand=operand):
                nullable = infer(operand, self._scope).nullable
                return f"({self.value_source(operand)} is None)" if nullable else "False"
            case Membership(operand=operand, options=options):
                floats = infer(operand, self._scope).kind == "number"
                listed = ", ".join(_option(option.value, floats=floats) for option in options)
                return self._guarded([operand], lambda parts: f"({parts[0]} in ({listed},))")
            case Case():
                return self._case(node)
            case Call():
                return self._call(node)

    def truth_source(self, node: Node) -> str:
        """Return source that is true exactly when *node* is true (not null, not false)."""
        if not infer(node, self._scope).nullable:
            return self.value_source(node)
        match node:
            case And(left=left, right=right):
                return f"({self.truth_source(left)} and {self.truth_source(right)})"
            case Or(left=left, right=right):
                return f"({self.truth_source(left)} or {self.truth_source(right)})"
            case _:
                return f"({self.value_source(node)} is True)"

    def _sides(self, node: Arithmetic | Comparison) -> list[Node]:
        return [node.left, node.right]

    def _guarded(
        self, operands: list[Node], render: Callable[[list[str]], str], pair: Node | None = None
    ) -> str:
        """Render over operand sources, yielding None when a nullable operand is None."""
        floats = pair is not None and any(
            infer(operand, self._scope).kind == "number" for operand in operands
        )
        parts: list[str] = []
        guards: list[str] = []
        for operand in operands:
            source = self.value_source(operand)
            kind = infer(operand, self._scope)
            if kind.nullable:
                if isinstance(operand, FieldReference):
                    guards.append(f"{source} is None")
                else:
                    name = next(self._names)
                    guards.append(f"({name} := {source}) is None")
                    source = name
            if floats and kind.kind != "number":  # as SQL compares: 0.1 is the float nearest to it
                source = f"float({source})"
            parts.append(source)
        rendered = render(parts)
        return f"(None if {' or '.join(guards)} else {rendered})" if guards else rendered

    def _logical(self, word: str, left: Node, right: Node) -> str:
        sides = (self.value_source(left), self.value_source(right))
        if any(infer(side, self._scope).nullable for side in (left, right)):
            return f"_{word}({sides[0]}, {sides[1]})"
        return f"({sides[0]} {word} {sides[1]})"

    def _case(self, node: Case) -> str:
        source = self.value_source(node.otherwise)
        for condition, result in reversed(node.branches):
            source = (
                f"({self.value_source(result)} if {self.truth_source(condition)} else {source})"
            )
        return source

    def _call(self, node: Call) -> str:
        if node.name == "coalesce":
            listed = ", ".join(self.value_source(argument) for argument in node.arguments)
            return f"_coalesce({listed})"
        template = FUNCTIONS[node.name].python
        return self._guarded(list(node.arguments), lambda parts: template.format(*parts))


def _option(value: str | int | Decimal | bool | None, *, floats: bool) -> str:
    source = _literal(value)
    return f"float({source})" if floats else source


def _literal(value: str | int | Decimal | bool | None) -> str:
    if isinstance(value, Decimal):
        return f"_Decimal({str(value)!r})"
    return repr(value)
