"""Static types of scalar expressions: what lint refuses before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from agentflow.errors import ExpressionError
from agentflow.expressions.functions import FUNCTIONS, WRITTEN_ELSEWHERE
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
from agentflow.wording import quoted

Kind = Literal["string", "integer", "decimal", "number", "boolean", "timestamp", "date", "null"]
MAX_SCALE = 18


@dataclass(frozen=True, slots=True)
class ExpressionType:
    """The type of an expression.

    Attributes:
        scale: Digits after the point, for decimals; 0 otherwise.
        nullable: Whether it can be null.
    """

    kind: Kind
    scale: int = 0
    nullable: bool = False


Scope = Mapping[str, ExpressionType]

_BOOLEAN = ExpressionType("boolean")


def infer(node: Node, scope: Scope) -> ExpressionType:
    """Return the type of *node* over the fields in *scope*.

    Raises:
        ExpressionError: If a field is unknown or the operands do not fit.
    """
    match node:
        case Constant(value=value):
            return _constant(value)
        case FieldReference(name=name):
            return _field(name, scope)
        case Negative(operand=operand):
            return _number(infer(operand, scope), "negated")
        case Arithmetic():
            return _arithmetic(node, scope)
        case Comparison(left=left, right=right):
            return _compared(infer(left, scope), infer(right, scope))
        case And(left=left, right=right) | Or(left=left, right=right):
            sides = (_truth(infer(left, scope)), _truth(infer(right, scope)))
            return ExpressionType("boolean", nullable=any(side.nullable for side in sides))
        case Not(operand=operand):
            return _truth(infer(operand, scope))
        case IsNull(operand=operand):
            infer(operand, scope)
            return _BOOLEAN
        case Membership(operand=operand, options=options):
            subject = infer(operand, scope)
            for option in options:
                _compared(subject, infer(option, scope))
            return ExpressionType("boolean", nullable=subject.nullable)
        case Case(branches=branches, otherwise=otherwise):
            for condition, _ in branches:
                _truth(infer(condition, scope))
            results = [infer(result, scope) for _, result in branches]
            return _unify([*results, infer(otherwise, scope)])
        case Call():
            return _call(node, scope)


def _constant(value: str | int | Decimal | bool | None) -> ExpressionType:
    match value:
        case None:
            return ExpressionType("null", nullable=True)
        case bool():
            return _BOOLEAN
        case str():
            return ExpressionType("string")
        case int():
            return ExpressionType("integer")
        case Decimal():
            exponent = value.as_tuple().exponent
            scale = -exponent if isinstance(exponent, int) else 0
            if scale > MAX_SCALE:
                raise ExpressionError(f"{value:f} keeps {scale} digits, more than {MAX_SCALE}")
            return ExpressionType("decimal", scale=scale)


def _field(name: str, scope: Scope) -> ExpressionType:
    try:
        return scope[name]
    except KeyError:
        raise ExpressionError(
            f"field {quoted(name)} does not exist",
            hint=f"Known fields: {', '.join(sorted(scope))}.",
        ) from None


def _number(operand: ExpressionType, verb: str) -> ExpressionType:
    if operand.kind not in {"integer", "decimal", "number"}:
        raise ExpressionError(f"a {operand.kind} cannot be {verb}", hint="Only numbers can.")
    return operand


def _arithmetic(node: Arithmetic, scope: Scope) -> ExpressionType:
    left = _number(infer(node.left, scope), "computed with")
    right = _number(infer(node.right, scope), "computed with")
    nullable = left.nullable or right.nullable
    if "number" in {left.kind, right.kind}:
        return ExpressionType("number", nullable=nullable)
    scale = left.scale + right.scale if node.operator == "*" else max(left.scale, right.scale)
    if scale > MAX_SCALE:
        raise ExpressionError(f"the product keeps {scale} digits, more than {MAX_SCALE}")
    kind: Kind = "decimal" if "decimal" in {left.kind, right.kind} else "integer"
    return ExpressionType(kind, scale=scale, nullable=nullable)


def _compared(left: ExpressionType, right: ExpressionType) -> ExpressionType:
    nullable = left.nullable or right.nullable
    kinds = {left.kind, right.kind}
    if "null" in kinds:
        raise ExpressionError("null cannot be compared", hint="Write `x is null`.")
    if kinds <= {"integer", "decimal"} or len(kinds) == 1:
        return ExpressionType("boolean", nullable=nullable)
    if "number" in kinds and kinds <= {"integer", "decimal", "number"}:
        return ExpressionType("boolean", nullable=nullable)
    raise ExpressionError(f"a {left.kind} cannot be compared with a {right.kind}")


def _truth(operand: ExpressionType) -> ExpressionType:
    if operand.kind != "boolean":
        raise ExpressionError(f"a condition must be boolean, this is {operand.kind}")
    return operand


def _unify(results: list[ExpressionType]) -> ExpressionType:
    nullable = any(result.nullable for result in results)
    kinds = {result.kind for result in results} - {"null"}
    scale = max(result.scale for result in results)
    if not kinds:
        return ExpressionType("null", nullable=True)
    if kinds == {"integer", "decimal"}:
        return ExpressionType("decimal", scale=scale, nullable=nullable)
    if len(kinds) > 1:
        raise ExpressionError(f"the branches differ in type: {', '.join(sorted(kinds))}")
    return ExpressionType(kinds.pop(), scale=scale, nullable=nullable)


def _call(node: Call, scope: Scope) -> ExpressionType:
    function = FUNCTIONS.get(node.name)
    if function is None:
        hint = WRITTEN_ELSEWHERE.get(node.name, f"Functions: {', '.join(FUNCTIONS)}.")
        raise ExpressionError(f"function {quoted(node.name)} does not exist", hint=hint)
    arguments = [infer(argument, scope) for argument in node.arguments]
    if node.name == "coalesce":
        unified = _unify(arguments)
        return ExpressionType(unified.kind, unified.scale, arguments[-1].nullable)
    kinds = tuple(argument.kind for argument in arguments)
    if len(kinds) != len(function.parameters) or any(
        kind not in allowed for kind, allowed in zip(kinds, function.parameters, strict=True)
    ):
        wanted = ", ".join("|".join(sorted(allowed)) for allowed in function.parameters)
        raise ExpressionError(f"{node.name}({', '.join(kinds)}) does not fit {node.name}({wanted})")
    nullable = any(argument.nullable for argument in arguments)
    result = arguments[0] if function.result == "same" else ExpressionType(function.result)
    return ExpressionType(result.kind, result.scale, nullable)
