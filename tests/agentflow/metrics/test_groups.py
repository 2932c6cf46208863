"""Groups are read little by little and are all of one instant, whatever moves meanwhile."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.metrics import GroupPage, MetricValue, key_place, measure
from tests.agentflow.metrics.conftest import Happening, Ledger, sale

S, H, D = 10**6, 3600 * 10**6, 86400 * 10**6
NOW = 40 * D
VALUE = "sum(sale.amount) + count(distinct sale.pieces) + max(sale.amount)"

_events = st.lists(
    st.builds(
        lambda age, pieces, cents, buyer, place: sale(
            NOW - age, pieces=pieces, amount=Decimal(cents) / 100, buyer=buyer, place=place
        ),
        st.sampled_from([0, 6 * S, H, 2 * D]),
        st.integers(1, 3),
        st.integers(-500, 500),
        st.sampled_from([None, "a", "b", "10", "9"]),
        st.sampled_from(["here", "there"]),
    ),
    max_size=12,
)
_by = st.sampled_from([(), ("place",), ("buyer",), ("place", "buyer"), ("buyer", "place")])
_where = st.dictionaries(st.just("place"), st.sampled_from(["here", "nowhere"])) | st.dictionaries(
    st.sampled_from(["place", "buyer"]), st.sampled_from(["here", "a"])
)


@functools.cache
def compiled() -> Ledger:
    return Ledger(VALUE, dimensions=["place", "buyer"], windows=["1m", "24h", "all"])


def holding(events: Sequence[Happening]) -> Ledger:
    ledger = copy.copy(compiled())
    ledger.state = ledger.fresh()
    ledger.add(*events)
    ledger.state.refresh(NOW)
    return ledger


def whole(
    ledger: Ledger, window: str, by: Sequence[str], where: Mapping[str, object]
) -> tuple[dict[tuple[object, ...], MetricValue], MetricValue]:
    """Return all groups and the number over them, read at once."""
    plan, state = ledger.plan, ledger.state
    groups = state.group(window, by=by, where=where)
    cells = state.group(window, by=plan.dimensions, where=where)
    total = measure(plan, state.merged(cells.values()))
    return {key: measure(plan, cell) for key, cell in groups.items()}, total


@settings(max_examples=150, deadline=None)
@given(
    events=_events,
    moving=st.lists(st.tuples(st.integers(0, 4), _events, st.integers(0, 3)), max_size=4),
    window=st.sampled_from(["1m", "24h", "all"]),
    by=_by,
    where=_where,
    page=st.none() | st.integers(1, 4),
    paged_before=st.booleans(),
)
def test_groups_are_of_the_instant_at_which_reading_began(  # noqa: PLR0913 - all are drawn
    events: list[Happening],
    moving: list[tuple[int, list[Happening], int]],
    window: str,
    by: tuple[str, ...],
    where: dict[str, object],
    page: int | None,
    *,
    paged_before: bool,
) -> None:
    """Between two steps events come, go, and leave the window, and other windows part from it."""
    ledger, now_us = holding(events), NOW
    if paged_before:
        list(ledger.state.order(window).steps())
        ledger.add(*events[:3])
        ledger.state.refresh(NOW)
    expected, total = whole(ledger, window, by, where)
    wanted = None if page is None else GroupPage(None, page)

    reading = ledger.state.groups(window, by=by, where=where, page=wanted)
    steps = reading.steps()
    for some, others, hours in moving:
        for _ in zip(range(some), steps, strict=False):
            pass
        ledger.add(*others)
        ledger.retract(*events[:some])
        now_us += hours * H
        ledger.state.refresh(now_us)
    list(steps)

    inside = sorted(expected, key=key_place)[:page]
    assert reading.found == {key: expected[key] for key in inside}
    assert page is None or list(reading.found) == inside
    assert reading.left_out == len(expected) - len(inside)
    assert reading.events == sum(one.events for one in expected.values())
    assert page is None or reading.total == total


@settings(max_examples=100, deadline=None)
@given(rounds=st.lists(st.tuples(_events, st.integers(0, 30)), max_size=5), limit=st.integers(1, 3))
def test_pages_follow_one_another_while_groups_come_and_go(
    rounds: list[tuple[list[Happening], int]], limit: int
) -> None:
    """The order is kept up and not made again for each page."""
    ledger, now_us = holding([]), NOW
    dimensions = ledger.plan.dimensions
    for events, hours in rounds:
        ledger.add(*events)
        now_us += hours * H
        ledger.state.refresh(now_us)
        expected = ledger.read("24h", now_us=now_us, by=dimensions)
        found: dict[tuple[object, ...], MetricValue] = {}
        after, left_out = None, 1
        while left_out:
            page = GroupPage(after, limit)
            reading = ledger.state.groups("24h", by=dimensions, where={}, page=page)
            list(reading.steps())
            found |= reading.found
            left_out, after = reading.left_out, next(reversed(found), None)

        assert list(found) == sorted(expected, key=key_place)
        assert found == expected


def test_a_reader_that_gave_up_is_told_of_nothing_any_more() -> None:
    """Else every move would cost more for each of them."""
    ledger = holding([sale(NOW, place=str(number)) for number in range(9)])
    reading = ledger.state.groups("all", by=("place", "buyer"), where={})
    next(reading.steps())

    reading.close()
    ledger.add(*(sale(NOW, place=str(number)) for number in range(9)))
    ledger.state.refresh(NOW)

    assert len(reading.found) == 1
