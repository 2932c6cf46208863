"""Two registries in, every change out, each with the metrics and entities it hits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agentflow.contracts.compatibility.change import (
    ContractDifference,
    ContractKind,
    Difference,
    Impact,
)
from agentflow.contracts.compatibility.events import derived_from, event_differences
from agentflow.contracts.compatibility.readers import (
    entity_differences,
    metric_differences,
    source_differences,
)
from agentflow.contracts.model import Contract, EntityContract, EventContract, MetricContract
from agentflow.contracts.reads import corrections, reads, value_reads
from agentflow.contracts.registry import Registry, key_of
from agentflow.contracts.tables import SourceContract
from agentflow.errors import ExpressionError
from agentflow.events import EventRef

_ORDER: tuple[Impact, ...] = ("breaking", "compatible", "documentation")


def diff(old: Registry, new: Registry) -> tuple[ContractDifference, ...]:
    """Return what changed from *old* to *new*, breaking changes first.

    A contract is breaking when what could be sent, read or asked before no longer can be, or means
    something else, under the same major version. A metric that only suffers from a change of an
    event is named there and not once more by itself.
    """
    before = {key_of(contract): contract for contract in old.contracts()}
    after = {key_of(contract): contract for contract in new.contracts()}
    changes = [
        change
        for key in sorted(before.keys() | after.keys())
        for change in _changes(before.get(key), after.get(key), old, new)
    ]
    blamed = {name for change in changes if change.kind == "event" for name in change.metrics}
    told = (
        change
        for change in changes
        if change.path != "reads" or not blamed.issuperset(change.metrics)
    )
    return tuple(sorted(told, key=lambda change: _ORDER.index(change.impact)))


def breaking(changes: Iterable[ContractDifference]) -> tuple[ContractDifference, ...]:
    """Return the changes that must not land."""
    return tuple(change for change in changes if change.impact == "breaking")


def _changes(
    before: Contract | None, after: Contract | None, old: Registry, new: Registry
) -> Iterator[ContractDifference]:
    if before is None and after is not None:
        yield _change(Difference("compatible", "", _novelty(after, old)), after, new)
    elif after is None and before is not None:
        yield _removed(before, old)
    elif before is not None and after is not None:
        for difference in _differences(before, after, old, new):
            yield _change(difference, before, old)


def _differences(
    before: Contract, after: Contract, old: Registry, new: Registry
) -> Iterator[Difference]:
    if before.status == "proposed" and after.status == "proposed":
        # A proposal is not in force yet, so nothing in it can break.
        for difference in _unjudged(before, after, old, new):
            if difference.path != "minor":
                impact: Impact = "compatible"
                if difference.impact == "documentation":
                    impact = "documentation"
                yield Difference(impact, difference.path, difference.message, difference.fields)
        return
    yield from _unjudged(before, after, old, new)


def _unjudged(
    before: Contract, after: Contract, old: Registry, new: Registry
) -> Iterator[Difference]:
    match before, after:
        case EventContract(), EventContract():
            yield from event_differences(before, after)
        case EntityContract(), EntityContract():
            yield from entity_differences(before, after)
        case MetricContract(), MetricContract():
            yield from metric_differences(before, after, before=old, after=new)
        case SourceContract(), SourceContract():
            yield from source_differences(before, after)


def _novelty(contract: Contract, old: Registry) -> str:
    versions = [other for other in old.contracts() if other.name == contract.name]
    same = [other for other in versions if other.kind == contract.kind]
    return "new version" if same else f"new {contract.kind}"


def _removed(contract: Contract, old: Registry) -> ContractDifference:
    if contract.status == "approved":
        return _change(Difference("breaking", "", "removed", None), contract, old)
    return _change(Difference("compatible", "", f"removed, was {contract.status}"), contract, old)


def _change(difference: Difference, contract: Contract, registry: Registry) -> ContractDifference:
    kind: ContractKind = contract.kind
    metrics: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    if difference.impact == "breaking":
        metrics, entities = _hits(difference, contract, registry)
    return ContractDifference(
        impact=difference.impact,
        kind=kind,
        name=contract.name,
        version=contract.version,
        path=difference.path,
        message=difference.message,
        metrics=metrics,
        entities=entities,
    )


def _hits(
    difference: Difference, contract: Contract, registry: Registry
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    named = (f"{contract.name}@{contract.version}",)
    match contract:
        case MetricContract():
            return named, ()
        case EntityContract():
            return (), named
        case SourceContract():
            return (), ()
        case EventContract():
            return (
                tuple(sorted(_metrics(difference.fields, contract, registry))),
                tuple(sorted(_entities(difference.fields, contract, registry))),
            )


def _metrics(
    fields: frozenset[str] | None, event: EventContract, registry: Registry
) -> Iterator[str]:
    for metric in registry.moved_by(event.ref):
        read = _read(metric, event, registry)
        if fields is None or read is None or fields & read:
            yield f"{metric.name}@{metric.version}"


def _read(
    metric: MetricContract, event: EventContract, registry: Registry
) -> frozenset[str] | None:
    """Return the fields of an event that decide a metric; None when it cannot be told."""
    events = registry.events
    try:
        direct = reads(metric, events).get(event.ref, frozenset())
        named = value_reads(metric, events).get(event.ref, frozenset())
        replaced = _replaced(metric, event.ref, registry)
    except ExpressionError:
        return None
    return direct | named | frozenset(metric.dimensions) | replaced


def _replaced(metric: MetricContract, ref: EventRef, registry: Registry) -> frozenset[str]:
    """Return the fields of a correction that reach a metric through the event it corrects."""
    found: frozenset[str] = frozenset()
    for correcting, corrected in corrections(metric, registry.events):
        correction = registry.events[correcting].corrects
        if correcting == ref and correction is not None:
            found |= reads(metric, registry.events)[corrected] | {correction.on}
        if corrected == ref and correction is not None:
            found |= {correction.on}
    return found


def _entities(
    fields: frozenset[str] | None, event: EventContract, registry: Registry
) -> Iterator[str]:
    touched = None if fields is None else derived_from(event, fields)
    for entity in registry.entities_of(event.ref):
        used = {
            name
            for source in entity.sources
            if source.ref == event.ref
            for name in (source.key, *source.sets.values())
        }
        if touched is None or used & touched:
            yield f"{entity.name}@{entity.version}"
