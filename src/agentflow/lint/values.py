"""Checks of the values an expression compares with, and of how far its numbers precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agentflow.contracts.model import EventContract
from agentflow.contracts.scope import declared_scope
from agentflow.errors import ExpressionError, FileProblem
from agentflow.expressions import Aggregate, ExpressionType, MetricNode, Node, infer, parse_scalar
from agentflow.expressions.nodes import (
    AggregateInput,
    Comparison,
    Constant,
    FieldReference,
    Membership,
    children,
)
from agentflow.expressions.precision import Precision, metric_precision, scalar_precision
from agentflow.lint.context import LintContext, scope_of
from agentflow.suggestions import nearest_or_all
from agentflow.wording import quoted

MAX_VALUE_DIGITS = 64
"""A million million such values add up to the 76 digits that sums are exact to."""
MAX_ANSWER_DIGITS = 200

Enums = Mapping[str, Sequence[str]]


def enums_of(events: Sequence[EventContract]) -> Enums:
    """Return the values of the fields that are enums in every one of *events* that has them."""
    found: dict[str, list[str]] = {}
    open_ended: set[str] = set()
    for event in events:
        for name, field in event.fields.items():
            if field.enum:
                found.setdefault(name, []).extend(field.enum)
            else:
                open_ended.add(name)
    return {name: values for name, values in found.items() if name not in open_ended}


def expression_type(
    context: LintContext, *path: str | int, text: str, event: EventContract
) -> Iterator[ExpressionType | FileProblem]:
    """Yield the type of a rule or derived field of *event*, or what is wrong with it."""
    try:
        node = parse_scalar(text)
        kind = infer(node, declared_scope(event))
        refuse_unknown_values(node, enums_of([event]))
        yield kind
    except ExpressionError as error:
        yield context.problem(*path, message=str(error), hint=error.hint)


def refuse_unknown_values(node: Node, enums: Enums) -> None:
    """Raise where an enum is compared with a value that it does not have.

    Raises:
        ExpressionError: With the nearest value as its hint.
    """
    for name, value in _compared(node):
        if name in enums and value not in enums[name]:
            message = f'"{name}" is never {quoted(value)}, its enum does not have it'
            raise ExpressionError(message, hint=nearest_or_all(value, sorted(enums[name])))


def value_precision(
    aggregate: Aggregate, source: AggregateInput, event: EventContract
) -> Precision | None:
    """Return how far what is aggregated precisions.

    Raises:
        ExpressionError: Farther than sums are exact to.
    """
    precision = (
        scalar_precision(source.value, scope_of(event)) if source.value is not None else None
    )
    if precision is not None and precision.digits > MAX_VALUE_DIGITS:
        raise ExpressionError(
            f"a value can have {precision.digits} digits, more than {MAX_VALUE_DIGITS}",
            hint=f"Multiply fewer fields within one {aggregate.kind}.",
        )
    return precision


def refuse_far_answers(node: MetricNode, values: dict[Aggregate, Precision]) -> None:
    """Raise where the arithmetic of a metric may need too many digits.

    Raises:
        ExpressionError: The answer could have more digits than are of use.
    """
    if (digits := metric_precision(node, values).digits) > MAX_ANSWER_DIGITS:
        raise ExpressionError(
            f"the answer can have {digits} digits, more than {MAX_ANSWER_DIGITS}",
            hint="Multiply or divide fewer aggregates.",
        )


def _compared(node: Node) -> Iterator[tuple[str, str]]:
    match node:
        case Comparison(
            operator="=" | "!=",
            left=FieldReference(name=name),
            right=Constant(value=str() as value),
        ):
            yield name, value
        case Comparison(
            operator="=" | "!=",
            left=Constant(value=str() as value),
            right=FieldReference(name=name),
        ):
            yield name, value
        case Membership(operand=FieldReference(name=name), options=options):
            for option in options:
                if isinstance(option.value, str):
                    yield name, option.value
    for inner in children(node):
        yield from _compared(inner)  # type: ignore[arg-type]  # a scalar has scalars below it
