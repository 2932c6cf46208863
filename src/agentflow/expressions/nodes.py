"""The syntax trees of the expression language; plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from agentflow.expressions.aggregates import AggregateKind, Formula, is_ratio

ComparisonOperator = Literal["=", "!=", "<", "<=", ">", ">="]
ArithmeticOperator = Literal["+", "-", "*", "/"]


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal: text, whole or decimal number, true, false or null."""

    value: str | int | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class FieldReference:
    """A field of the event in scope."""

    name: str


@dataclass(frozen=True, slots=True)
class Negative:
    """Arithmetic negation."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left operator right` over numbers."""

    operator: ArithmeticOperator
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`; null when either side is null."""

    operator: ComparisonOperator
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class And:
    """Three-valued conjunction."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Or:
    """Three-valued disjunction."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Not:
    """Three-valued negation."""

    operand: Node


@dataclass(frozen=True, slots=True)
class IsNull:
    """`operand is null`; never null itself."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Membership:
    """`operand in (constants)`; null when the operand is null."""

    operand: Node
    options: tuple[Constant, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """`case when … then … else … end`; without else it ends in null."""

    branches: tuple[tuple[Node, Node], ...]
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the language; see `functions.py`."""

    name: str
    arguments: tuple[Node, ...]


Node = (
    Constant
    | FieldReference
    | Negative
    | Arithmetic
    | Comparison
    | And
    | Or
    | Not
    | IsNull
    | Membership
    | Case
    | Call
)


@dataclass(frozen=True, slots=True)
class AggregateInput:
    """What an aggregate reads from one event type; `value` is None for a plain count."""

    event: str
    value: Node | None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate. Several inputs (count, distinct) are united; `q` is for quantiles only."""

    kind: AggregateKind
    inputs: tuple[AggregateInput, ...]
    where: Node | None = None
    q: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A numeric literal inside a metric expression."""

    value: int | Decimal


@dataclass(frozen=True, slots=True)
class Combine:
    """Arithmetic over aggregates; null propagates, division by zero is null."""

    operator: ArithmeticOperator
    left: MetricNode
    right: MetricNode


MetricNode = Aggregate | Number | Combine


def aggregates(node: MetricNode) -> tuple[Aggregate, ...]:
    """Return the distinct aggregates of a metric expression, in reading order."""
    match node:
        case Aggregate():
            return (node,)
        case Number():
            return ()
        case Combine(left=left, right=right):
            return tuple(dict.fromkeys(aggregates(left) + aggregates(right)))


def events_of(node: MetricNode) -> tuple[str, ...]:
    """Return the names of the events a metric expression reads, in reading order."""
    names = (source.event for aggregate in aggregates(node) for source in aggregate.inputs)
    return tuple(dict.fromkeys(names))


def fields_of(node: Node | None) -> frozenset[str]:
    """Return the names of the fields a scalar expression reads."""
    match node:
        case None | Constant():
            return frozenset()
        case FieldReference(name=name):
            return frozenset({name})
        case Negative(operand=inner) | Not(operand=inner) | IsNull(operand=inner):
            return fields_of(inner)
        case Membership(operand=inner):
            return fields_of(inner)
        case Case(branches=branches, otherwise=otherwise):
            parts = [part for branch in branches for part in branch]
            return fields_of(otherwise).union(*(fields_of(part) for part in parts))
        case Call(arguments=arguments):
            return frozenset().union(*(fields_of(argument) for argument in arguments))
        case _:
            return fields_of(node.left) | fields_of(node.right)


def divides(node: MetricNode) -> bool:
    """Tell whether a metric expression divides anywhere (an average does)."""
    match node:
        case Aggregate(kind=kind):
            return is_ratio(kind)
        case Number():
            return False
        case Combine(operator=operator, left=left, right=right):
            return operator == "/" or divides(left) or divides(right)


def spelled_out(aggregate: Aggregate, formula: Formula) -> Combine:
    """Return the arithmetic that an aggregate stands for."""
    left, right = replace(aggregate, kind=formula.left), replace(aggregate, kind=formula.right)
    return Combine(formula.operator, left, right)


def depth(node: Node | MetricNode) -> int:
    """Return how many levels a tree has, walked without recursion: it may be too deep for that."""
    deepest, waiting = 0, [(node, 1)]
    while waiting:
        current, level = waiting.pop()
        deepest = max(deepest, level)
        below = level + (len(current.branches) if isinstance(current, Case) else 1)
        waiting += [(inner, below) for inner in children(current)]
    return deepest


def children(node: Node | MetricNode) -> tuple[Node | MetricNode, ...]:
    """Return the nodes directly below a node."""
    match node:
        case Constant() | FieldReference() | Number():
            return ()
        case Negative(operand=operand) | Not(operand=operand) | IsNull(operand=operand):
            return (operand,)
        case Membership(operand=operand):
            return (operand,)
        case Case(branches=branches, otherwise=otherwise):
            return (*(part for branch in branches for part in branch), otherwise)
        case Call(arguments=arguments):
            return arguments
        case Aggregate(inputs=inputs, where=where):
            values = tuple(each.value for each in inputs if each.value is not None)
            return values if where is None else (*values, where)
        case _:
            return (node.left, node.right)
