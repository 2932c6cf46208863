"""The conformance suite of `GroupLog`: the log's link index, and the list that tests use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from agentflow.events import Event, EventRef, RawEvent
from ingestion.log.opening import open_log
from ingestion.log.port import Accept, Batch, CommitLog
from processing.definitions import Definitions
from processing.live import GroupKey, GroupLog
from processing.live.groups import LoggedGroups
from processing.transformations import Linker
from tests.fakes.memory_log import MemoryLog
from tests.processing.laws.campaign import ListedGroups
from tests.processing.live.conftest import NOW_US, Shop

Grouping = Callable[[Sequence[Event]], GroupLog]


def logged(events: Sequence[Event], definitions: Definitions, log: CommitLog) -> GroupLog:
    """Commit events as the intake does, with their links."""
    linker = Linker(definitions.registry)
    log.commit(
        Batch(
            [RawEvent(b"", event.tenant, NOW_US) for event in events],
            [
                Accept(
                    identity=b"%016d" % number,
                    type=event.type,
                    version=event.version,
                    tenant=event.tenant,
                    key=None,
                    value=definitions.gate.encode(event),
                    occurred_us=event.occurred_us,
                    links=linker.links(event),
                )
                for number, event in enumerate(events)
            ],
        )
    )
    return LoggedGroups(log, definitions.gate)


@pytest.fixture(params=["sqlite", "memory", "list"])
def grouping(
    request: pytest.FixtureRequest, definitions: Definitions, tmp_path: Path
) -> Iterator[Grouping]:
    """Every implementation, over the events it is given, at offsets from 0."""

    def listed(events: Sequence[Event]) -> GroupLog:
        groups = ListedGroups(definitions)
        groups.log += enumerate(events)
        return groups

    if request.param == "sqlite":
        log = open_log(tmp_path / "log.sqlite").log
        yield lambda events: logged(events, definitions, log)
        log.close()
    elif request.param == "memory":
        yield lambda events: logged(events, definitions, MemoryLog())
    else:
        yield listed


def key(order_id: str, tenant: str = "t") -> GroupKey:
    return GroupKey(tenant, EventRef("order.created", 1), "order_id", order_id)


def ids(events: Sequence[Event]) -> list[str]:
    return [event.id for event in events]


def test_a_group_is_what_is_corrected_and_what_corrects_it(shop: Shop, grouping: Grouping) -> None:
    """In the order of the log, from both ends, and of no other key or tenant."""
    events = [
        shop.event("order.cancelled", order_id="A"),
        shop.order("A"),
        shop.order("B"),
        shop.order("A", tenant="u"),
    ]
    groups = grouping(events)

    found = groups.groups([key("A"), key("B"), key("A", "u")], before=9)

    assert ids(found[key("A")]) == ["e1", "e2"]
    assert ids(found[key("B")]) == ["e3"]
    assert ids(found[key("A", "u")]) == ["e4"]


def test_events_from_an_offset_on_are_not_of_it_yet(shop: Shop, grouping: Grouping) -> None:
    """The engine asks for what came before the batch it applies."""
    groups = grouping([shop.order("A"), shop.event("order.cancelled", order_id="A")])

    assert ids(groups.groups([key("A")], before=1)[key("A")]) == ["e1"]
    assert not groups.groups([key("A")], before=0).get(key("A"))


def test_a_key_that_no_event_has_is_a_group_of_none(shop: Shop, grouping: Grouping) -> None:
    """Left out or empty: the port allows both."""
    groups = grouping([shop.order("A")])

    assert not groups.groups([key("Z")], before=9).get(key("Z"))
    assert not groups.groups([], before=9)


def test_events_come_back_as_they_were(shop: Shop, grouping: Grouping) -> None:
    """The fold of a group is computed from them."""
    order = shop.order("A", "12.34")

    (found,) = grouping([order]).groups([key("A")], before=1)[key("A")]

    assert found == order
