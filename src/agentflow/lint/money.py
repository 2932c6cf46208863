"""Checks that amounts of different units are never added."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.contracts.model import EventContract, MetricContract
from agentflow.contracts.reads import declared, pins
from agentflow.errors import FileProblem
from agentflow.expressions import Aggregate, MetricNode
from agentflow.expressions.aggregates import AGGREGATES
from agentflow.expressions.nodes import Combine, Number, aggregates, fields_of
from agentflow.lint.context import LintContext


def money_problems(
    metric: MetricContract, node: MetricNode, context: LintContext
) -> Iterator[FileProblem]:
    """Yield where a metric could add, or compare, amounts in different units.

    A field whose unit is held by a sibling field (an amount by its currency) may be aggregated only
    where that sibling is a dimension and the unit of the answer.
    """
    units = sorted(_units(metric, node, context))
    for unit in units:
        if unit not in metric.dimensions:
            message = f'the value adds amounts per "{unit}", which is not a dimension'
            hint = f'Add "{unit}" to dimensions: different units are never added.'
            yield context.problem("dimensions", message=message, hint=hint)
        if metric.unit != unit:
            message = f'the value adds amounts per "{unit}", so its unit is that and not '
            message += f'"{metric.unit}"'
            hint = f"Write unit: {unit}, or count instead of adding."
            yield context.problem("unit", message=message, hint=hint)
    if metric.unit == "currency" and "currency" not in metric.dimensions and not units:
        message = 'unit "currency" needs a dimension of that name'
        yield context.problem("unit", message=message, hint="Add currency to dimensions.")
    if units and not _adds_alike(node, metric, context):
        message = "an amount and a plain number cannot be added"
        yield context.problem("value", message=message)


def _units(metric: MetricContract, node: MetricNode, context: LintContext) -> set[str]:
    return {
        unit
        for aggregate in aggregates(node)
        for unit in _aggregate_units(aggregate, metric, context)
    }


def _aggregate_units(
    aggregate: Aggregate, metric: MetricContract, context: LintContext
) -> set[str]:
    if not AGGREGATES[aggregate.kind].in_unit:
        return set()
    events = context.registry.events
    return {
        unit
        for source in aggregate.inputs
        for ref in pins(metric, source.event, events)
        for unit in _varying(fields_of(source.value), events[ref])
    }


def _varying(names: frozenset[str], event: EventContract) -> set[str]:
    fields = (event.fields[name] for name in declared(names, event) & event.fields.keys())
    numeric = {"integer", "decimal", "number"}
    return {
        field.unit
        for field in fields
        if field.type in numeric and field.unit is not None and field.unit in event.fields
    }


def _adds_alike(node: MetricNode, metric: MetricContract, context: LintContext) -> bool:
    """Tell whether both sides of every plus and minus are money, or neither is."""
    match node:
        case Combine(operator=operator, left=left, right=right):
            sides = _is_money(left, metric, context), _is_money(right, metric, context)
            alike = operator in {"*", "/"} or sides[0] == sides[1]
            return (
                alike and _adds_alike(left, metric, context) and _adds_alike(right, metric, context)
            )
        case _:
            return True


def _is_money(node: MetricNode, metric: MetricContract, context: LintContext) -> bool:
    match node:
        case Aggregate():
            return bool(_aggregate_units(node, metric, context))
        case Number():
            return False
        case Combine(operator="/", left=left, right=right):
            return _is_money(left, metric, context) and not _is_money(right, metric, context)
        case Combine(left=left, right=right):
            return _is_money(left, metric, context) or _is_money(right, metric, context)
