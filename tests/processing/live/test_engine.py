"""The live engine moves what an event names, once, for its tenant."""

from __future__ import annotations

from itertools import permutations

import pytest

from processing.live import Cause
from tests.processing.live.conftest import NOW_US, REVENUE, Shop


def test_an_event_moves_the_metrics_that_name_it_and_no_other(shop: Shop) -> None:
    """Entity tags hang on this: what did not move is not sent again."""
    moved = shop.send(shop.event("page.viewed", session_id="S", page="/"))

    names = {each.metric[0] for each in moved}
    assert names == {"page_views", "active_sessions", "conversion_rate"}
    registry = shop.definitions.registry
    for metric, plan in shop.engine.plans.items():
        moves = shop.engine.state(metric, "t").moves
        assert moves == (metric[0] in names), registry.metrics[metric].value
        assert plan.id == metric


def test_an_event_whose_filter_fails_moves_nothing(shop: Shop) -> None:
    """`filter (where …)` decides before anything is touched."""
    moved = shop.send(
        shop.event("stock.changed", product_id="P", warehouse="BER1", change=1, level=3)
    )

    assert "stockouts" not in {each.metric[0] for each in moved}


def test_redelivery_is_skipped(shop: Shop) -> None:
    """After a crash the log is read again from the last position stored."""
    shop.send(shop.order("A"), shop.order("B"))

    moved = shop.engine.apply(shop.groups.log, now_us=NOW_US)

    assert moved == []
    assert shop.revenue() == "20.00"


def test_an_event_that_is_delivered_twice_in_one_batch_counts_once(shop: Shop) -> None:
    """A consumer that rewinds while it fills a batch does that."""
    order = shop.order("A")

    shop.engine.apply([(0, order), (0, order), (1, shop.order("B")), (0, order)], now_us=0)

    assert shop.revenue() == "20.00"


def test_tenants_never_meet(shop: Shop) -> None:
    """Neither in a sum nor through a correction with the same key."""
    other = shop.event("order.cancelled", tenant="u", order_id="A")

    shop.send(shop.order("A"), other)

    assert shop.revenue("t") == "10.00"
    assert shop.revenue("u") is None
    assert shop.engine.tenants() == ("t", "u")


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_corrections_count_the_same_in_any_order(shop: Shop, order: tuple[int, ...]) -> None:
    """The newest update by event time wins, whatever arrives first."""
    story = [
        shop.order("A", "50.00", country="DE"),
        shop.event("order.updated", age_us=5, order_id="A", amount="60.00", currency="EUR"),
        shop.event("order.updated", age_us=9, order_id="A", amount="70.00", currency="EUR"),
        shop.order("B", "1.00"),
    ]

    for position in order:
        shop.send(story[position])

    assert shop.revenue() == "61.00"


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_cancelled_order_never_counts(shop: Shop, order: tuple[int, ...]) -> None:
    """A cancellation that overtakes its order still cancels it."""
    story = [
        shop.order("A", "50.00"),
        shop.event("order.updated", order_id="A", amount="60.00", currency="EUR"),
        shop.event("order.cancelled", order_id="A"),
    ]

    for position in order:
        shop.send(story[position])

    assert shop.revenue() is None


def test_an_update_may_move_an_event_to_another_dimension(shop: Shop) -> None:
    """It leaves one cell and enters another."""
    shop.send(shop.order("A", "10.00"), shop.order("B", "5.00"))

    shop.send(shop.event("order.updated", order_id="A", amount="10.00", currency="USD"))

    state = shop.engine.read(REVENUE, "t", now_us=NOW_US)
    assert set(state.group("24h", by=("currency",))) == {("EUR",), ("USD",)}
    assert shop.revenue() == "5.00"


def test_a_correction_lands_in_the_window_of_what_it_corrects(shop: Shop) -> None:
    """An order of yesterday that is cancelled today leaves yesterday."""
    day_us = 86_400_000_000
    shop.send(
        shop.event("order.created", age_us=day_us, order_id="A", amount="9.00", currency="EUR")
    )
    before = (shop.revenue(window="24h"), shop.revenue(window="7d"))

    shop.send(shop.event("order.cancelled", order_id="A"))

    assert before == (None, "9.00")
    assert shop.revenue(window="7d") is None


def test_groups_that_left_memory_are_found_in_the_log(shop: Shop) -> None:
    """Memory is bounded; a correction may come a month later."""
    shop.engine = shop.new_engine(groups_kept=2)
    shop.send(*(shop.order(f"O{n}", "1.00") for n in range(20)))

    shop.send(shop.event("order.updated", order_id="O0", amount="5.00", currency="EUR"))
    shop.send(*(shop.order(f"P{n}", "1.00") for n in range(20)))
    shop.send(shop.event("order.cancelled", order_id="O0"))

    assert shop.revenue() == "39.00"


def test_a_batch_of_more_groups_than_memory_keeps_is_corrected_whole(shop: Shop) -> None:
    """Some have left memory again before their turn comes."""
    shop.engine = shop.new_engine(groups_kept=2)
    shop.send(*(shop.order(f"O{n}", "1.00") for n in range(6)))

    shop.send(*(shop.event("order.cancelled", order_id=f"O{n}") for n in range(5)))

    assert shop.revenue() == "1.00"


def test_a_correction_is_one_cause_and_says_what_it_did(shop: Shop) -> None:
    """Taking back and counting again is one move to a reader."""
    order = shop.order("A", "10.00")
    update = shop.event("order.updated", order_id="A", amount="12.00", currency="EUR")

    shop.send(order)
    shop.send(update)

    causes = list(shop.engine.state(REVENUE, "t").causes)
    assert causes[0] == order
    assert len(causes) == 2
    assert isinstance(causes[1], Cause)
    assert (causes[1].event, causes[1].before) == (update, order)
    assert getattr(causes[1].after and causes[1].after.data, "amount", None) == 12


def test_an_event_without_effect_moves_no_revision(shop: Shop) -> None:
    """A second cancellation takes nothing back, and evicts no answer of revenue."""
    shop.send(shop.order("A"), shop.event("order.cancelled", order_id="A"))
    before = shop.engine.state(REVENUE, "t").moves

    moved = shop.send(shop.event("order.cancelled", order_id="A"))

    assert shop.engine.state(REVENUE, "t").moves == before
    assert REVENUE not in {each.metric for each in moved}


def test_the_watermark_is_the_greatest_event_time_of_a_tenant(shop: Shop) -> None:
    """A late event does not set it back."""
    shop.send(shop.order("A"), shop.event("page.viewed", age_us=10**9, session_id="S", page="/"))

    assert shop.engine.watermark_us == {"t": NOW_US}
