"""Equal meanings have equal hashes, whatever they look like."""

from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts import Registry
from agentflow.contracts.fingerprint import fingerprint, scalar_meaning
from agentflow.contracts.model import SessionWindow


def _hash(registry: Registry, **changes: object) -> str:
    changed = registry.metric("revenue").model_copy(update=changes)
    others = [other for other in registry.contracts() if other != registry.metric("revenue")]
    return Registry.of([*others, changed]).fingerprint(changed)


def test_wording_does_not_change_a_meaning(shop: Registry) -> None:
    """A typo in a description must not invalidate anybody's cached number."""
    same = shop.fingerprint(shop.metric("revenue"))

    assert _hash(shop, description="Else", owner="me", tags=(), examples=()) == same
    assert _hash(shop, status="deprecated", sunset="2027-01-01") == same
    assert _hash(shop, windows=("all",), dimensions=("currency",)) == same


def test_spaces_brackets_and_operator_spelling_do_not_change_a_meaning(shop: Registry) -> None:
    """Only the parsed expression counts."""
    value = (
        "( sum( (order.created.amount) )) - (sum(payment.refunded.amount)"
        " FILTER (WHERE (order_stands)))"
    )

    assert _hash(shop, value=value) == shop.fingerprint(shop.metric("revenue"))
    assert scalar_meaning("a <> 1.0") == scalar_meaning("( a != 1.00 )")


def test_value_unit_and_scale_change_a_meaning(shop: Registry) -> None:
    """Each of them changes the number that is answered."""
    hashes = {
        shop.fingerprint(shop.metric("revenue")),
        _hash(shop, value="sum(order.created.amount)"),
        _hash(shop, unit="EUR"),
        _hash(shop, scale=0),
        _hash(shop, version=3),
    }

    assert len(hashes) == 5


def test_a_derived_field_carries_its_meaning_into_the_metric(shop: Registry) -> None:
    """Large orders counted from 300 up are another metric than from 250 up."""
    created = shop.event("order.created")
    moved = created.model_copy(update={"derived": {"order_size": "'large'"}})
    others = [other for other in shop.contracts() if other != created]
    changed = Registry.of([*others, moved])

    assert changed.fingerprint(changed.metric("large_order_share")) != shop.fingerprint(
        shop.metric("large_order_share")
    )
    assert changed.fingerprint(changed.metric("revenue")) == shop.fingerprint(
        shop.metric("revenue")
    )


@given(st.permutations(["EUR", "USD", "GBP"]))
def test_the_order_of_an_enum_is_wording(shop: Registry, order: list[str]) -> None:
    """It is a set."""
    created = shop.event("order.created")
    one, other = (
        created.model_copy(
            update={
                "fields": {
                    "currency": created.fields["currency"].model_copy(update={"enum": tuple(enum)})
                },
                "derived": {},
                "rules": (),
            }
        )
        for enum in (order, sorted(order))
    )

    assert Registry.of([one]).fingerprint(one) == Registry.of([other]).fingerprint(other)


def test_a_gap_is_a_length_of_time_and_part_of_the_meaning(shop: Registry) -> None:
    """Half an hour is half an hour; another gap makes other sessions."""
    visit = shop.entity("visit")
    hashes = [
        fingerprint(visit.model_copy(update={"session": SessionWindow(gap=gap)}), shop.events)
        for gap in ("30m", "1800s", "31m")
    ]

    assert hashes[0] == hashes[1] == shop.fingerprint(visit)
    assert hashes[2] != hashes[0]
