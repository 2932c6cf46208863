"""Entities: what is known of an order, a user or a product, folded from its own events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentflow.contracts.model import EntityContract, EntitySource
from agentflow.contracts.scope import attribute_of
from agentflow.events import Event, EventRef


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute's value and the event that set it."""

    value: object
    offset: int
    event: Event


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity at one instant of system time.

    Attributes:
        attributes: The last value by event time wins; ties go to the greater event id, then
            source.
        timeline: Its events by event time, with their log offsets.
    """

    contract: EntityContract
    key: str
    attributes: Mapping[str, Attribute]
    timeline: Sequence[tuple[int, Event]]


def _age(item: tuple[int, Event]) -> tuple[int, str, str]:
    event = item[1]
    return event.occurred_us, event.id, event.source


def fold_entity(contract: EntityContract, key: str, events: Iterable[tuple[int, Event]]) -> Entity:
    """Fold an entity from its events; the order they are given in does not matter."""
    sources: dict[EventRef, EntitySource] = {source.ref: source for source in contract.sources}
    timeline = sorted(events, key=_age)
    attributes: dict[str, Attribute] = {}
    for offset, event in timeline:
        source = sources.get(event.ref)
        if source is None:
            continue
        for name, origin in source.sets.items():
            value = (
                origin[1:-1]
                if origin.startswith("'")
                else getattr(event.data, attribute_of(origin), None)
            )
            if value is not None:
                attributes[name] = Attribute(value, offset, event)
    return Entity(contract, key, attributes, timeline)
