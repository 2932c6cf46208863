"""Finding contracts by name."""

import pytest

from agentflow.contracts import Registry
from agentflow.errors import ContractError, UnknownContractError
from agentflow.events import EventRef


def test_without_a_version_the_newest_approved_metric_answers(shop: Registry) -> None:
    """A deprecated or proposed version must be asked for by number."""
    assert shop.metric("revenue").version == 2
    assert shop.metric("revenue", 1).status == "deprecated"


def test_an_approved_version_wins_over_a_newer_proposal(shop: Registry) -> None:
    """Writing a proposal must not change what people are answered."""
    proposal = shop.metric("revenue").model_copy(update={"version": 3, "status": "proposed"})
    registry = Registry.of([*shop.contracts(), proposal])

    assert registry.metric("revenue").version == 2


def test_unknown_names_get_the_closest_known_one(shop: Registry) -> None:
    """The error must say what would have worked."""
    with pytest.raises(UnknownContractError, match='metric "revenu" does not exist') as raised:
        shop.metric("revenu")

    assert raised.value.code == "metric_unknown"
    assert str(raised.value.hint).startswith('Did you mean "revenue"? Known names: ')


def test_unknown_versions_name_the_known_ones(shop: Registry) -> None:
    """A version is a name too."""
    with pytest.raises(UnknownContractError, match='event "click@1" does not exist'):
        shop.event("click@1")
    with pytest.raises(UnknownContractError) as raised:
        shop.metric("revenue", 9)

    assert "revenue@1, revenue@2" in str(raised.value.hint)


def test_a_contract_is_given_once(shop: Registry) -> None:
    """Values are held to the same rule as files."""
    with pytest.raises(ContractError, match="given twice"):
        Registry.of([shop.metric("revenue"), shop.metric("revenue")])


def test_what_an_event_touches_is_known(shop: Registry) -> None:
    """Gate, engine and dry-run route by these."""
    created = EventRef("order.created", 1)

    assert {str(event.ref) for event in shop.corrections_of(created)} == {
        "order.cancelled@1",
        "order.updated@1",
    }
    assert {entity.name for entity in shop.entities_of(created)} == {
        "order",
        "user",
        "product",
        "session",
        "visit",
    }
    assert shop.metric("revenue") in shop.moved_by(EventRef("payment.refunded", 1))
    assert shop.moved_by(EventRef("order.created", 2)) == ()
