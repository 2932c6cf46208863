"""An entity is what its events say, by event time, whatever came first."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest

from agentflow.clock import to_rfc3339
from agentflow.contracts import Registry
from agentflow.events import Event, RawEvent
from agentflow.lint import load
from processing.entities.folding import Entity, fold_entity
from quality import Accepted, Gate

NOW_US = 1_767_268_800_000_000


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load(Path("contracts"))


@pytest.fixture(scope="module")
def gate(registry: Registry) -> Gate:
    return Gate(registry)


def event(gate: Gate, kind: str, age_us: int, *, event_id: str = "e", **data: object) -> Event:
    document = {
        "id": event_id,
        "type": kind,
        "time": to_rfc3339(NOW_US - age_us),
        "data": {"order_id": "A", **data},
    }
    verdict = gate.judge(RawEvent(json.dumps(document).encode(), "t", NOW_US))
    assert isinstance(verdict, Accepted), verdict
    return verdict.event


def values(entity: Entity) -> dict[str, object]:
    return {name: attribute.value for name, attribute in entity.attributes.items()}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_last_value_by_event_time_wins(
    registry: Registry, gate: Gate, order: tuple[int, ...]
) -> None:
    """An older status that arrives late must not overwrite a newer one."""
    story = [
        event(gate, "order.created", 30, amount="10.00", currency="EUR", country="DE"),
        event(gate, "order.updated", 20, status="shipped"),
        event(gate, "order.cancelled", 10, reason="fraud"),
    ]

    arrived = [(offset, story[position]) for offset, position in enumerate(order)]
    entity = fold_entity(registry.entity("order"), "A", arrived)

    found = values(entity)
    assert (found["status"], found["cancel_reason"], found["country"]) == (
        "cancelled",
        "fraud",
        "DE",
    )
    assert [one.type for _, one in entity.timeline] == [one.type for one in story]


def test_an_absent_field_leaves_the_value_as_it_was(registry: Registry, gate: Gate) -> None:
    """Null says nothing; it does not erase."""
    story = [
        (0, event(gate, "order.created", 30, amount="10.00", currency="EUR")),
        (1, event(gate, "order.updated", 20, status="paid")),
    ]

    entity = fold_entity(registry.entity("order"), "A", story)

    assert str(values(entity)["amount"]) == "10.00"
    assert entity.attributes["amount"].offset == 0
    assert entity.attributes["status"].offset == 1


def test_events_of_one_instant_are_ordered_by_their_id(registry: Registry, gate: Gate) -> None:
    """Every reader must see the same value, whatever the order of arrival."""
    first = event(gate, "order.updated", 0, event_id="a", status="paid")
    second = event(gate, "order.updated", 0, event_id="b", status="packed")
    contract = registry.entity("order")

    one = fold_entity(contract, "A", [(0, first), (1, second)])
    other = fold_entity(contract, "A", [(0, second), (1, first)])

    assert values(one) == values(other)
    assert values(one)["status"] == "packed"


def test_an_event_that_sets_nothing_is_on_the_timeline(registry: Registry, gate: Gate) -> None:
    """What happened is shown, whether or not it changed anything."""
    view = event(gate, "order.created", 0, amount="1.00", currency="EUR")
    contract = registry.entity("product")

    entity = fold_entity(contract, "P", [(0, view)])

    assert len(entity.timeline) == 1
