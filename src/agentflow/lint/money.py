"""Checks that amounts of different units are never added."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.contracts.model import EventContract, MetricContract
from agentflow.contracts.reads import declared, pins
from agentflow.errors import FileProblem
from agentflow.expressions import Aggregate, MetricNode
from agentflow.expressions.aggregates import AGGREGATES
from agentflow.expressions.nodes import Combine, Number, aggregates, fields_of
from agentflow.lint.place import Place


def money_problems(metric: MetricContract, node: MetricNode, place: Place) -> Iterator[FileProblem]:
    """Yield where a metric could add, or compare, amounts in different units.

    A field whose unit is held by a sibling field (an amount by its currency) may be aggregated only
    where that sibling is a dimension and the unit of the answer.
    """
    units = sorted(_units(metric, node, place))
    for unit in units:
        if unit not in metric.dimensions:
            message = f'the value adds amounts per "{unit}", which is not a dimension'
            hint = f'Add "{unit}" to dimensions: different units are never added.'
            yield place.problem("dimensions", message=message, hint=hint)
        if metric.unit != unit:
            message = f'the value adds amounts per "{unit}", so its unit is that and not '
            message += f'"{metric.unit}"'
            hint = f"Write unit: {unit}, or count instead of adding."
            yield place.problem("unit", message=message, hint=hint)
    if metric.unit == "currency" and "currency" not in metric.dimensions and not units:
        message = 'unit "currency" needs a dimension of that name'
        yield place.problem("unit", message=message, hint="Add currency to dimensions.")
    if units and not _adds_alike(node, metric, place):
        message = "an amount and a plain number cannot be added"
        yield place.problem("value", message=message)


def _units(metric: MetricContract, node: MetricNode, place: Place) -> set[str]:
    return {
        unit
        for aggregate in aggregates(node)
        for unit in _aggregate_units(aggregate, metric, place)
    }


def _aggregate_units(aggregate: Aggregate, metric: MetricContract, place: Place) -> set[str]:
    if not AGGREGATES[aggregate.kind].in_unit:
        return set()
    events = place.registry.events
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


def _adds_alike(node: MetricNode, metric: MetricContract, place: Place) -> bool:
    """Tell whether both sides of every plus and minus are money, or neither is."""
    match node:
        case Combine(operator=operator, left=left, right=right):
            sides = _is_money(left, metric, place), _is_money(right, metric, place)
            alike = operator in {"*", "/"} or sides[0] == sides[1]
            return alike and _adds_alike(left, metric, place) and _adds_alike(right, metric, place)
        case _:
            return True


def _is_money(node: MetricNode, metric: MetricContract, place: Place) -> bool:
    match node:
        case Aggregate():
            return bool(_aggregate_units(node, metric, place))
        case Number():
            return False
        case Combine(operator="/", left=left, right=right):
            return _is_money(left, metric, place) and not _is_money(right, metric, place)
        case Combine(left=left, right=right):
            return _is_money(left, metric, place) or _is_money(right, metric, place)
