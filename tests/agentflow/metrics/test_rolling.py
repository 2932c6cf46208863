"""Laws of the rolling state: numbers depend on which events there are, and on nothing else."""

from __future__ import annotations

import copy
import functools
from decimal import Decimal
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.metrics import MetricState, measure
from agentflow.metrics.rolling import CAUSES_KEPT, StateImage
from agentflow.metrics.windows import parse_window
from tests.agentflow.metrics.conftest import REFUND, SALE, Happening, Ledger, sale

S, M, H, D = 10**6, 60 * 10**6, 3600 * 10**6, 86400 * 10**6
NOW = 40 * D + 7 * H + 11 * M + 3 * S
VALUE = (
    "sum(sale.amount) - sum(refund.amount) filter (where pieces > 1) + count(sale)"
    " + count(distinct sale.buyer, refund.buyer) + max(sale.pieces) + quantile(sale.amount, 0.7)"
    " - min(sale.amount)"
)

_ages = st.sampled_from([0, 1, 5 * S, M, 5 * M, H, 23 * H, D, 6 * D, 7 * D, 30 * D]).flatmap(
    lambda age: st.integers(max(age - 10 * S, -M), age + 10 * S)
)
_events = st.builds(
    lambda age, ref, pieces, cents, buyer, place: sale(
        NOW - age, ref=ref, pieces=pieces, amount=Decimal(cents) / 100, buyer=buyer, place=place
    ),
    _ages,
    st.sampled_from([SALE, SALE, REFUND]),
    st.integers(-3, 300),
    st.integers(-500, 500),
    st.sampled_from([None, "a", "b", "c"]),
    st.sampled_from(["here", "there"]),
)
EVENTS = st.lists(_events, max_size=12)


@functools.cache
def compiled() -> Ledger:
    return Ledger(VALUE)


def new() -> Ledger:
    """A fresh state; compiled once."""
    ledger = copy.copy(compiled())
    ledger.state = ledger.fresh()
    return ledger


def numbers(events: list[Happening], *, now_us: int = NOW) -> object:
    ledger = new()
    ledger.add(*events)
    return ledger.everything(now_us)


@settings(max_examples=60, deadline=None)
@given(events=EVENTS, reads=st.lists(st.integers(0, 50 * D), max_size=6), seed=st.integers())
def test_when_somebody_reads_does_not_matter(
    events: list[Happening], reads: list[int], seed: int
) -> None:
    """A refresh folds and moves windows: often or never, the numbers are the same."""
    expected = numbers(events, now_us=50 * D)
    random, ledger = Random(seed), new()

    for now_us in sorted(reads):
        taken = random.randrange(len(events) + 1)
        ledger.add(*events[:taken])
        events = events[taken:]
        ledger.state.refresh(now_us)
    ledger.add(*events)

    assert ledger.everything(50 * D) == expected


@settings(max_examples=50, deadline=None)
@given(events=EVENTS, seed=st.integers())
def test_order_does_not_matter(events: list[Happening], seed: int) -> None:
    """Arrival order is chance; event time is not."""
    shuffled = events.copy()
    Random(seed).shuffle(shuffled)

    assert numbers(shuffled) == numbers(events)


@settings(max_examples=60, deadline=None)
@given(events=EVENTS, extra=EVENTS, at=st.lists(st.integers(0, 45 * D), max_size=4))
def test_retract_undoes_add(events: list[Happening], extra: list[Happening], at: list[int]) -> None:
    """Whatever happened in between: a fold, a demotion, a window that moved on."""
    ledger = new()
    ledger.add(*events, *extra)
    for now_us in sorted(at):
        ledger.state.refresh(now_us)
    ledger.retract(*extra)

    after = ledger.everything(50 * D)

    assert after == numbers(events, now_us=50 * D)


@settings(max_examples=50, deadline=None)
@given(parts=st.tuples(EVENTS, EVENTS, EVENTS))
def test_merging_cells_is_associative_and_commutative(
    parts: tuple[list[Happening], list[Happening], list[Happening]],
) -> None:
    """Cells are added up by dimension, by bucket and by window, in any order."""
    cells = []
    for part in parts:
        ledger = new()
        ledger.add(*part)
        ledger.state.refresh(NOW)
        cells.append(ledger.state.merged(ledger.state.group("all", by=("place",)).values()))
    merged = compiled().state.merged
    first, second, third = cells

    left = merged([merged([first, second]), third])

    assert left == merged([first, merged([second, third])])
    assert left == merged([third, second, first])
    assert merged([left, merged([])]) == left


@settings(max_examples=50, deadline=None)
@given(events=EVENTS, later=st.lists(st.integers(0, 20 * D), min_size=1, max_size=5))
def test_demotion_between_tiers_never_changes_a_number(
    events: list[Happening], later: list[int]
) -> None:
    """Old buckets are merged into wider ones; every window still cuts between them."""
    ledger = new()
    ledger.add(*events)

    for after in sorted(later):
        seen = ledger.everything(NOW + after)

        for window in ledger.plan.windows:
            start_us, end_us = parse_window(window.name).bounds(NOW + after)
            inside = [one for one in events if start_us <= one.at_us < end_us]
            fresh = new_state_of(inside)
            assert seen[f"{window.name} by ()"] == fresh, window.name


def new_state_of(events: list[Happening]) -> object:
    """Everything these events make, whatever their time."""
    ledger = new()
    ledger.add(*events)
    return ledger.read("all", now_us=0)


@settings(max_examples=60, deadline=None)
@given(events=EVENTS, more=EVENTS, at=st.integers(0, 45 * D))
def test_a_state_goes_on_from_its_dump(
    events: list[Happening], more: list[Happening], at: int
) -> None:
    """A restart in between changes no number, now or later."""
    ledger = new()
    ledger.add(*events)
    ledger.state.refresh(at)

    loaded = reloaded(ledger, now_us=0)
    ledger.state = loaded
    before = ledger.everything(max(at, NOW))
    ledger.add(*more)

    assert before == numbers(events, now_us=max(at, NOW))
    assert ledger.everything(50 * D) == numbers(events + more, now_us=50 * D)


def reloaded(ledger: Ledger, *, now_us: int) -> MetricState:
    image = msgspec.msgpack.encode(ledger.state.dump())
    loaded = ledger.fresh(now_us)
    loaded.load(msgspec.msgpack.decode(image, type=StateImage))
    assert loaded.moves == ledger.state.moves
    return loaded


@pytest.mark.parametrize("count", [5_000, 70_000])
def test_a_large_state_goes_on_from_its_dump(count: int) -> None:
    """Its values are kept in another form; what comes or goes afterwards finds them."""
    ledger = Ledger(
        "quantile(sale.amount, 0.5) + count(distinct sale.buyer)", windows=["all", "1h"]
    )
    sales = [sale(n % H, amount=Decimal(n), buyer=str(n)) for n in range(count)]
    ledger.add(*sales)
    before = ledger.everything(H - 1)

    ledger.state = reloaded(ledger, now_us=0)
    after = ledger.everything(H - 1)
    ledger.retract(*sales[7:])

    assert after == before
    assert before["all by ()"][()].value == (count - 1) // 2 + count
    assert ledger.value("all", now_us=H - 1) == 3 + 7


def test_sums_beyond_64_bits_survive_a_dump() -> None:
    """MessagePack ends at 64 bits; a sum of 64-bit fields does not."""
    ledger = Ledger("sum(sale.pieces) + max(sale.pieces * sale.pieces)", windows=["all"])
    ledger.add(*(sale(0, pieces=2**63 - 1) for _ in range(3)))
    before = ledger.value("all", now_us=0)

    ledger.state = reloaded(ledger, now_us=0)

    assert ledger.value("all", now_us=0) == before == 3 * (2**63 - 1) + (2**63 - 1) ** 2


def test_cells_that_are_empty_are_gone() -> None:
    """Memory depends on what counts now, not on what once did."""
    ledger = new()
    events = [sale(NOW - n * M, place=f"p{n}") for n in range(200)]
    ledger.add(*events)
    ledger.state.refresh(NOW)

    ledger.retract(*events)
    ledger.state.refresh(NOW)

    assert ledger.state.cell_count() == 0


def test_memory_depends_on_time_and_dimensions_not_on_events() -> None:
    """Twice the events in the same hours and places: not one cell more."""
    sizes = []
    for repeat in (1, 3):
        ledger = new()
        ledger.add(*(sale(NOW - n * M) for n in range(500) for _ in range(repeat)))
        ledger.state.refresh(NOW)
        sizes.append(ledger.state.cell_count())

    assert sizes[0] == sizes[1]


def test_the_newest_causes_are_kept() -> None:
    """An answer names the events that moved it last."""
    ledger = new()
    events = [sale(n) for n in range(CAUSES_KEPT + 5)]

    ledger.add(*events)

    assert list(ledger.state.causes) == events[-CAUSES_KEPT:]


def test_currencies_are_never_added() -> None:
    """Without a filter there is one total for each currency."""
    ledger = Ledger(
        "sum(sale.amount)", unit="currency", dimensions=["place", "currency"], windows=["all"]
    )
    ledger.add(sale(0), sale(0, currency="USD"), sale(0, place="there"))

    totals = ledger.read("all", now_us=0, by=("currency",))

    found = {key: str(measured.value) for key, measured in totals.items()}
    assert found == {("EUR",): "2.00", ("USD",): "1.00"}


def test_what_has_not_been_folded_can_be_looked_at() -> None:
    """A dry run needs the difference, also where as many events left as came."""
    ledger = Ledger("sum(sale.amount)", windows=["1h", "all"])
    ledger.retract(sale(5 * S, amount=Decimal("10.00")))
    ledger.add(sale(6 * S, amount=Decimal("12.50")), sale(5 * H, amount=Decimal(1)))

    pending = ledger.state.pending(*parse_window("1h").bounds(10 * S))

    assert {key: measure(ledger.plan, cell).value for key, cell in pending.items()} == {
        ("here",): Decimal("2.50")
    }
