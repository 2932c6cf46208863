"""What a metric reads, and therefore which events move it: the source of graph, lint and hash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from agentflow.contracts.fold import replaceable
from agentflow.contracts.model import EventContract, MetricContract
from agentflow.events import EventRef
from agentflow.expressions import MetricNode, parse_metric, parse_scalar
from agentflow.expressions.nodes import aggregates, events_of, fields_of

Events: TypeAlias = Mapping[EventRef, EventContract]


def parsed(metric: MetricContract, events: Events) -> MetricNode:
    """Parse a metric's value against the events there are.

    Raises:
        ExpressionError: It does not parse.
    """
    return parse_metric(metric.value, events={ref.type for ref in events})


def pinned(metric: MetricContract, name: str) -> tuple[EventRef, ...]:
    """Return the versions of an event that `moved_by` names."""
    return tuple(ref for ref in metric.refs if ref.type == name)


def pins(metric: MetricContract, name: str, events: Events) -> tuple[EventRef, ...]:
    """Return the versions of an event that a metric counts: those it pins, else the newest."""
    known = tuple(ref for ref in pinned(metric, name) if ref in events)
    return known or (max(ref for ref in events if ref.type == name),)


def value_reads(metric: MetricContract, events: Events) -> Mapping[EventRef, frozenset[str]]:
    """Return the fields, declared or derived, that the value of a metric names, per event.

    Raises:
        ExpressionError: The value does not parse.
    """
    node = parsed(metric, events)
    reads: dict[EventRef, frozenset[str]] = {
        ref: frozenset() for name in events_of(node) for ref in pins(metric, name, events)
    }
    for aggregate in aggregates(node):
        for source in aggregate.inputs:
            named = fields_of(source.value) | fields_of(aggregate.where)
            for ref in pins(metric, source.event, events):
                reads[ref] |= named
    return reads


def reads(metric: MetricContract, events: Events) -> Mapping[EventRef, frozenset[str]]:
    """Return the declared fields that decide a metric, per event: value, filters, dimensions.

    A derived field stands for the declared fields it is computed from.

    Raises:
        ExpressionError: An expression does not parse.
    """
    dimensions = frozenset(metric.dimensions)
    return {
        ref: declared(named | dimensions, events[ref])
        for ref, named in value_reads(metric, events).items()
    }


def declared(names: frozenset[str], event: EventContract) -> frozenset[str]:
    """Replace derived fields by the declared fields they are computed from.

    Raises:
        ExpressionError: A derived field does not parse.
    """
    derived = names & event.derived.keys()
    roots = (fields_of(parse_scalar(event.derived[name])) for name in derived)
    return (names - derived).union(*roots)


def corrections(metric: MetricContract, events: Events) -> Iterator[tuple[EventRef, EventRef]]:
    """Yield (correcting, corrected) event types that move a metric without being named in it.

    A retraction always does. A replacement does when it carries a field the metric reads.

    Raises:
        ExpressionError: An expression does not parse.
    """
    read = reads(metric, events)
    for event in events.values():
        correction = event.corrects
        if correction is None or correction.ref not in read:
            continue
        replaced = read[correction.ref].intersection(replaceable(event, events[correction.ref]))
        if correction.effect == "retract" or replaced:
            yield event.ref, correction.ref


def implied(metric: MetricContract, events: Events) -> tuple[EventRef, ...]:
    """Return what `moved_by` must say, sorted.

    Raises:
        ExpressionError: An expression does not parse.
    """
    correcting = {source for source, _ in corrections(metric, events)}
    return tuple(sorted(correcting.union(reads(metric, events))))
