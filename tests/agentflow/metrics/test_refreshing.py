"""Windows are brought up to date a cell at a time, and a reader sees no difference."""

from __future__ import annotations

import copy
import functools
import gc
from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agentflow.metrics.conftest import Happening, Ledger, sale
from tests.agentflow.metrics.test_groups import NOW, VALUE, D, H, S

CELLS = 2_000
WINDOWS = ["1m", "24h", "all"]

_ages = st.sampled_from([0, 6 * S, 70 * S, H, 25 * H, 2 * D])
_events = st.lists(
    st.builds(
        lambda age, pieces, place: sale(NOW - age, pieces=pieces, place=place),
        _ages,
        st.integers(1, 3),
        st.sampled_from(["here", "there", "elsewhere"]),
    ),
    max_size=8,
)


@functools.cache
def compiled() -> Ledger:
    return Ledger(VALUE, dimensions=["place", "buyer"], windows=WINDOWS)


@functools.cache
def compiled_without_distinct() -> Ledger:
    value = "sum(sale.amount) + max(sale.amount)"
    return Ledger(value, dimensions=["place", "buyer"], windows=WINDOWS)


def empty(of: Ledger) -> Ledger:
    ledger = copy.copy(of)
    ledger.state = ledger.fresh(NOW)
    return ledger


def crowded(cells: int) -> Ledger:
    ledger = empty(compiled_without_distinct())
    ledger.add(*(sale(NOW, place=f"place {number}") for number in range(cells)))
    ledger.state.refresh(NOW)
    return ledger


@settings(max_examples=150, deadline=None)
@given(
    rounds=st.lists(st.tuples(_events, st.integers(0, 30), st.integers(0, 12)), max_size=6),
    hours=st.integers(0, 50),
)
def test_a_refresh_in_steps_that_others_leave_and_finish_is_a_refresh_at_once(
    rounds: list[tuple[list[Happening], int, int]], hours: int
) -> None:
    """Readers give up half way, events come meanwhile, and time goes on."""
    ours, expected, now_us = empty(compiled()), empty(compiled()), NOW
    for events, minutes, steps in rounds:
        now_us += minutes * 60 * S
        ours.add(*events)
        expected.add(*events)
        for _ in islice(ours.state.refreshing(now_us), steps):
            pass
    now_us += hours * H

    others = ours.state.refreshing(now_us)
    list(islice(others, 3))

    assert ours.everything(now_us) == expected.everything(now_us)
    assert list(others) == []


def test_every_cell_that_leaves_a_window_is_a_step() -> None:
    """It is copied, as windows differ from now on, taken out, and moved to a wider bucket."""
    ledger = crowded(CELLS)

    steps = sum(1 for _ in ledger.state.refreshing(NOW + 20 * 60 * S))

    assert steps >= 3 * CELLS


def test_a_refresh_of_many_cells_is_known_to_be_long() -> None:
    """So it is not done while a reader of something else waits."""
    ledger = crowded(CELLS)
    later = NOW + 20 * 60 * S

    assert not ledger.state.laborious(NOW, most=CELLS // 2)
    assert ledger.state.laborious(later, most=CELLS // 2)
    ledger.state.refresh(later)
    assert not ledger.state.laborious(later, most=CELLS // 2)


def test_the_garbage_collector_has_nothing_to_do_with_cells() -> None:
    """It held the event loop for 0.3 to 0.7 s, as each full collection walked all of them."""
    crowded(10)  # what is made once
    gc.collect()
    before = len(gc.get_objects())

    ledger = crowded(CELLS)
    gc.collect()

    assert len(gc.get_objects()) - before < CELLS / 4
    assert ledger.state.width("all") == CELLS
