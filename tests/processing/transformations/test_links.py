"""Events are found again by what they are about."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts import Registry
from agentflow.events import Event, EventRef, RawEvent
from processing.transformations import Linker, correction_link, entity_link
from quality import Accepted, Gate

NOW_US = 1_795_252_802_000_000
SENT = EventRef("parcel.sent", 2)


def event_of(gate: Gate, name: str, data: dict[str, object], *, tenant: str = "acme") -> Event:
    value = msgspec.json.encode({"id": "1", "source": "/t", "type": name, "data": data})
    verdict = gate.judge(RawEvent(value, tenant, NOW_US))
    assert isinstance(verdict, Accepted), verdict
    return verdict.event


def sent(gate: Gate, *, tenant: str = "acme") -> Event:
    data: dict[str, object] = {"parcel_id": "AB1", "price": "1.00", "currency": "EUR"}
    return event_of(gate, "parcel.sent", data, tenant=tenant)


def test_an_event_is_on_the_timeline_of_its_entities(registry: Registry, gate: Gate) -> None:
    """The entity page asks by this digest alone."""
    links = Linker(registry).links(sent(gate))

    assert entity_link("acme", "parcel", "AB1") in links
    assert all(len(link) == 16 for link in links)


def test_a_correction_meets_what_it_corrects(registry: Registry, gate: Gate) -> None:
    """Whichever arrives first, the other is found by the link they share."""
    linker = Linker(registry)
    lost = event_of(gate, "parcel.lost", {"parcel_id": "AB1", "number": 7})

    shared = set(linker.links(sent(gate))) & set(linker.links(lost))

    assert correction_link("acme", SENT, "parcel_id", "AB1") in shared


def test_tenants_share_no_link(registry: Registry, gate: Gate) -> None:
    """One tenant's cancellation must never reach another's order."""
    linker = Linker(registry)

    assert not set(linker.links(sent(gate))) & set(linker.links(sent(gate, tenant="other")))


def test_a_deprecated_version_has_no_timeline_of_its_own(registry: Registry, gate: Gate) -> None:
    """Links follow the contracts: no entity names version 1."""
    data = sent(gate).data
    old = Event("1", "/t", "parcel.sent", 1, "acme", NOW_US, NOW_US, data)

    assert Linker(registry).links(old) == ()


@given(
    one=st.tuples(st.text(), st.text(), st.text()),
    other=st.tuples(st.text(), st.text(), st.text()),
)
def test_links_are_equal_only_for_equal_keys(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    """Parts are delimited by their lengths, so `("a", "bc")` and `("ab", "c")` differ."""
    assert (entity_link(*one) == entity_link(*other)) is (one == other)


@given(tenant=st.text(), name=st.text(), key=st.text())
def test_kinds_of_links_never_meet(tenant: str, name: str, key: str) -> None:
    """An entity called like an event's field must not pull corrections in."""
    assert entity_link(tenant, name, key) != correction_link(tenant, SENT, name, key)
