"""Checks of metric contracts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from agentflow.contracts.model import EventContract, MetricContract
from agentflow.contracts.reads import implied, parsed, pins
from agentflow.errors import ExpressionError, FileProblem, UnknownWindowError
from agentflow.events import EventRef
from agentflow.expressions import (
    Aggregate,
    ExpressionType,
    MetricNode,
    Scope,
    infer,
    parse_metric,
)
from agentflow.expressions.aggregates import AGGREGATES, COUNTABLE
from agentflow.expressions.nodes import AggregateInput, aggregates, events_of, fields_of
from agentflow.expressions.precision import Precision
from agentflow.lint.context import LintContext, broken, scope_of
from agentflow.lint.examples import example_problems
from agentflow.lint.money import money_problems
from agentflow.lint.values import (
    enums_of,
    refuse_far_answers,
    refuse_unknown_values,
    value_precision,
)
from agentflow.metrics.windows import parse_window, step_of
from agentflow.suggestions import nearest_or_all

RESERVED_DIMENSIONS = frozenset(
    {  # `tests/serving/test_query_string.py` compares them with what the routes read
        "as_of",
        "at_least",
        "by",
        "cursor",
        "end",
        "explain",
        "fields",
        "format",
        "grain",
        "last_event_id",
        "limit",
        "metric",
        "start",
        "tenant",
        "token",
        "version",
        "wait",
        "window",
    }
)


def metric_problems(metric: MetricContract, context: LintContext) -> Iterator[FileProblem]:
    """Yield what is wrong with a metric contract."""
    yield from context.lifetime(metric.status, metric.sunset)
    yield from _windows(metric, context)
    yield from _dimension_names(metric, context)
    yield from example_problems(metric, context)
    known = context.registry.events
    for index, ref in enumerate(metric.refs):
        if ref not in known:
            yield from context.no_event("moved_by", index, ref=ref)
    try:
        events = {ref.type for ref in known} | context.unreadable_events
        others = (each for each in context.registry.metrics.values() if each.name != metric.name)
        newest_last = sorted(others, key=lambda each: each.version)
        values = {each.name: each.value for each in newest_last}
        node = parse_metric(metric.value, events=events, metrics=values)
    except ExpressionError as error:
        yield context.problem("value", message=str(error), hint=error.hint)
        return
    yield from _types(metric, node, context)
    if not {ref.type for ref in known}.issuperset(events_of(node)):
        return  # it reads an event whose file is reported already
    read = [known[ref] for name in events_of(node) for ref in pins(metric, name, known)]
    yield from _dimensions(metric, read, context)
    yield from money_problems(metric, node, context)
    with suppress(ExpressionError):  # of a derived field: its own file reports it
        yield from _moved_by(metric, implied(metric, known), context)


def window_problem(name: str) -> str | None:
    """Return why this is not a valid window name, or None.

    >>> window_problem("24h")
    >>> window_problem("61m") is None, window_problem("125m")
    (True, 'is not a whole number of its 15m steps')
    """
    step = ""
    try:
        step = step_of(name)
        parse_window(name)
    except UnknownWindowError:
        return f"is not a whole number of its {step} steps" if step else "is not a window"
    return None


def _windows(metric: MetricContract, context: LintContext) -> Iterator[FileProblem]:
    for index, name in enumerate(metric.windows):
        if problem := window_problem(name):
            hint = "Write today, all, or a length such as 5m, 1h, 24h, 7d, at most 400d."
            message = f'window "{name}" {problem}'
            yield context.problem("windows", index, message=message, hint=hint)
        if name in metric.windows[:index]:
            yield context.problem("windows", index, message=f'window "{name}" is given twice')


def _dimension_names(metric: MetricContract, context: LintContext) -> Iterator[FileProblem]:
    for index, name in enumerate(metric.dimensions):
        if name in RESERVED_DIMENSIONS:
            message = f'dimension "{name}" has the name of a query parameter'
            hint = "Derive a field of another name in the event contract."
            yield context.problem("dimensions", index, message=message, hint=hint)
        if name in metric.dimensions[:index]:
            yield context.problem("dimensions", index, message=f'dimension "{name}" is given twice')


def _types(metric: MetricContract, node: MetricNode, context: LintContext) -> Iterator[FileProblem]:
    precisions: dict[Aggregate, Precision] = {}
    readable = {ref.type for ref in context.registry.events}
    for aggregate in aggregates(node):
        if not readable.issuperset(source.event for source in aggregate.inputs):
            continue
        kinds: list[ExpressionType] = []
        for source in aggregate.inputs:
            for ref in pins(metric, source.event, context.registry.events):
                event = context.registry.events[ref]
                if broken(event) & (fields_of(source.value) | fields_of(aggregate.where)):
                    continue
                try:
                    kinds.extend(_value_type(aggregate, source, scope_of(event)))
                    precision = value_precision(aggregate, source, event)
                except ExpressionError as error:
                    message = f'{error}, in {aggregate.kind} over "{ref}"'
                    yield context.problem("value", message=message, hint=error.hint)
                else:
                    precisions[aggregate] = max(
                        precision or Precision(0, 0), precisions.get(aggregate, Precision(0, 0))
                    )
        yield from _aggregated(aggregate, kinds, context)
        yield from _compared(metric, aggregate, context)
    yield from _precision(node, precisions, context)


def _compared(
    metric: MetricContract, aggregate: Aggregate, context: LintContext
) -> Iterator[FileProblem]:
    """Check that an enum is compared with its values, those of any event that is counted."""
    known = context.registry.events
    events = [known[r] for each in aggregate.inputs for r in pins(metric, each.event, known)]
    try:
        for node in (aggregate.where, *(each.value for each in aggregate.inputs)):
            if node is not None:
                refuse_unknown_values(node, enums_of(events))
    except ExpressionError as error:
        yield context.problem("value", message=str(error), hint=error.hint)


def _precision(
    node: MetricNode, precisions: dict[Aggregate, Precision], context: LintContext
) -> Iterator[FileProblem]:
    try:
        refuse_far_answers(node, precisions)
    except ExpressionError as error:
        yield context.problem("value", message=str(error), hint=error.hint)


def _value_type(
    aggregate: Aggregate, source: AggregateInput, scope: Scope
) -> Iterator[ExpressionType]:
    """Yield the type of what is aggregated, if anything is; the filter must be a condition."""
    if source.value is not None:
        yield infer(source.value, scope)
    if aggregate.where is not None:
        kind = infer(aggregate.where, scope).kind
        if kind != "boolean":
            raise ExpressionError(f"a filter must be true or false, this is {kind}")


def _aggregated(
    aggregate: Aggregate, kinds: list[ExpressionType], context: LintContext
) -> Iterator[FileProblem]:
    allowed = AGGREGATES[aggregate.kind].takes
    for kind in dict.fromkeys(found.kind for found in kinds):
        if kind not in allowed:
            wanted = " or ".join(sorted(allowed))
            message = f"{aggregate.kind} is not for {kind} values"
            hint = f"It takes {wanted}; a number is a float and never exact."
            yield context.problem("value", message=message, hint=hint)
    if (
        AGGREGATES[aggregate.kind].form == "distinct values"
        and len({found.kind for found in kinds}) > 1
    ):
        yield context.problem("value", message="count(distinct …) mixes fields of different types")


def _dimensions(
    metric: MetricContract, events: list[EventContract], context: LintContext
) -> Iterator[FileProblem]:
    for index, name in enumerate(metric.dimensions):
        kinds: dict[str, EventRef] = {}
        for event in events:
            scope = scope_of(event)
            if name in broken(event):
                continue
            if name not in scope:
                message = f'dimension "{name}" is not a field of "{event.ref}"'
                hint = nearest_or_all(name, sorted(scope))
                yield context.problem("dimensions", index, message=message, hint=hint)
                continue
            if name in event.fields and event.fields[name].pii:
                message = f'dimension "{name}" is personal data in "{event.ref}"'
                yield context.problem("dimensions", index, message=message)
            kinds.setdefault(scope[name].kind, event.ref)
        if len(kinds) > 1:
            said = ", ".join(f'{kind} in "{ref}"' for kind, ref in kinds.items())
            message = f'dimension "{name}" differs in type: {said}'
            yield context.problem("dimensions", index, message=message)
        for kind in kinds.keys() - COUNTABLE:
            message = f'dimension "{name}" is {kind}; few values are needed, not a measure'
            yield context.problem("dimensions", index, message=message)


def _moved_by(
    metric: MetricContract, expected: tuple[EventRef, ...], context: LintContext
) -> Iterator[FileProblem]:
    hint = f"Write moved_by: [{', '.join(map(str, expected))}]."
    for ref in expected:
        if ref not in metric.refs:
            message = f'"moved_by" lacks "{ref}", {_why(ref, metric, context)}'
            yield context.problem("moved_by", message=message, hint=hint)
    for index, ref in enumerate(metric.refs):
        if ref not in expected and ref in context.registry.events:
            message = f'"moved_by" says "{ref}", which cannot move the value'
            yield context.problem("moved_by", index, message=message, hint=hint)
        if ref in metric.refs[:index]:
            yield context.problem("moved_by", index, message=f'"{ref}" is given twice')


def _why(ref: EventRef, metric: MetricContract, context: LintContext) -> str:
    correction = context.registry.events[ref].corrects
    named = events_of(parsed(metric, context.registry.events))
    if correction is None or ref.type in named:
        return "which the value reads"
    verb = "takes back" if correction.effect == "retract" else "amends"
    return f'which {verb} "{correction.event}"'
