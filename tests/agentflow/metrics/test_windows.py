"""Where windows stand, and which events are in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.errors import UnknownWindowError
from agentflow.metrics import parse_length, parse_window
from tests.agentflow.metrics.conftest import Ledger, sale

S, M, H, D = 10**6, 60 * 10**6, 3600 * 10**6, 86400 * 10**6
NAMES = ["5s", "1m", "10m", "11m", "2h", "3h", "48h", "3d", "7d", "400d", "today"]


@pytest.mark.parametrize(
    ("name", "now_us", "start_us", "end_us"),
    [
        ("10m", 3 * S, -10 * M + 5 * S, 5 * S),
        ("10m", 5 * S, -10 * M + 10 * S, 10 * S),
        ("11m", 5 * S, -10 * M, M),
        ("2h", M - 1, -2 * H + M, M),
        ("3h", M, -3 * H + 15 * M, 15 * M),
        ("48h", 15 * M, -48 * H + 30 * M, 30 * M),
        ("3d", H, -2 * D, D),
        ("today", D - 1, 0, D),
        ("today", D, D, 2 * D),
        ("today", -1, -D, 0),
        ("all", 17, -(2**62), 2**62),
    ],
)
def test_a_window_ends_with_the_step_that_contains_now(
    name: str, now_us: int, start_us: int, end_us: int
) -> None:
    """The newest event is always inside; the length decides how finely a window moves."""
    assert parse_window(name).bounds(now_us) == (start_us, end_us)


@given(name=st.sampled_from(NAMES), now_us=st.integers(-(10**17), 10**17))
def test_a_window_holds_now_is_as_long_as_it_says_and_starts_on_a_step(
    name: str, now_us: int
) -> None:
    """Buckets of one step tile it exactly, or a running total would cut through one."""
    window = parse_window(name)

    start_us, end_us = window.bounds(now_us)

    assert start_us <= now_us < end_us
    assert end_us - start_us == window.length_us
    assert start_us % window.step_us == 0
    assert end_us % window.step_us == 0


@given(
    name=st.sampled_from(NAMES),
    instants=st.lists(st.integers(0, 10**14), min_size=2, max_size=20),
)
def test_a_window_never_moves_back_while_time_goes_on(name: str, instants: list[int]) -> None:
    """Running totals only add at the end and subtract at the start."""
    bounds = [parse_window(name).bounds(now_us) for now_us in sorted(instants)]

    assert all(earlier <= later for earlier, later in pairwise(bounds))


@pytest.mark.parametrize("name", ["", "5", "m", "0m", "-1h", "7s", "121m", "401d", "1w", "1.5h"])
def test_what_is_no_window_is_refused(name: str) -> None:
    """A window that is not a whole number of its steps could not be kept exactly."""
    with pytest.raises(UnknownWindowError):
        parse_window(name)


def test_a_window_is_closed_on_the_left_and_open_on_the_right() -> None:
    """An event on an edge counts in one window only.

    now is 2:57, the window `1m` steps by 5 s:

        1:59.999999  2:00                      2:59.999999  3:00
             |        [--------------- 1m ---------|--------)  |
             out      in                           in          out
    """
    ledger = Ledger("count(sale)", now_us=2 * M + 57 * S)
    ledger.add(*(sale(at) for at in (2 * M - 1, 2 * M, 3 * M - 1, 3 * M)))

    assert ledger.value("1m", now_us=2 * M + 57 * S) == 2
    assert ledger.value("all", now_us=2 * M + 57 * S) == 4


def test_an_event_leaves_when_its_whole_step_has_left() -> None:
    """The window moves by steps and not by microseconds.

    event at 0:02, steps of 5 s, window `1m`

    now     0:04.9  [-55, 5)   in
    now     0:59.9  [0, 60)    in
    now     1:00    [5, 65)    out
    """
    ledger = Ledger("count(sale)")
    ledger.add(sale(2 * S))

    seen = [ledger.value("1m", now_us=now) for now in (5 * S - 1, M - 1, M)]

    assert seen == [1, 1, None]


def test_a_future_event_waits_for_its_window() -> None:
    """A producer's clock may run ahead; the event counts when its time has come.

    now   0:00   1m: [-55 s, 5 s)      the event at 0:30 lies ahead
    now   0:26   1m: [-30 s, 30 s)     still ahead: the end is open
    now   0:30   1m: [-25 s, 35 s)     in
    """
    ledger = Ledger("count(sale)")
    ledger.add(sale(30 * S))

    seen = [ledger.value("1m", now_us=now) for now in (0, 26 * S, 30 * S)]

    assert seen == [None, None, 1]


def test_today_begins_again_at_midnight() -> None:
    """The day that ended leaves at once, with all its buckets.

    ... 23:50 |--- today ---) 00:00 [--- today ---
          2 events                   1 event (late: 23:59 arrives at 00:10)
    """
    ledger = Ledger("count(sale)", now_us=D - 10 * M)
    ledger.add(sale(D - 20 * M), sale(D - 11 * M))

    before = ledger.value("today", now_us=D - 1)
    ledger.add(sale(D - M), sale(D + M))
    after = ledger.value("today", now_us=D + 10 * M)

    assert (before, after) == (2, 1)
    assert ledger.value("1h", now_us=D + 10 * M) == 4


@pytest.mark.parametrize("idle", [H, 25 * H, 8 * D, 1000 * D])
def test_after_an_idle_gap_nothing_is_left_but_everything(idle: int) -> None:
    """Nobody reads and nothing comes for hours or years: windows jump, and empty exactly.

    events |||           ..... idle .....            now
           0..5 s        [ nothing here ]            5m, 1h, …: null      all: 3
    """
    ledger = Ledger("count(sale)")
    ledger.add(sale(1 * S), sale(2 * S), sale(5 * S))
    ledger.state.refresh(6 * S)

    after = {window.name: ledger.value(window.name, now_us=idle) for window in ledger.plan.windows}

    lengths = {"1m": M, "5m": 5 * M, "1h": H, "24h": D, "today": D, "7d": 7 * D, "all": 10**18}
    for name, value in after.items():
        start_us, end_us = parse_window(name).bounds(idle)
        expected = sum(start_us <= at < end_us for at in (1 * S, 2 * S, 5 * S))
        assert value == (expected or None), (name, lengths[name])


def test_a_clock_that_is_set_back_is_not_believed() -> None:
    """Windows never move backwards: what has left cannot come in again."""
    ledger = Ledger("count(sale)")
    ledger.add(sale(0))

    at_noon = ledger.read("5m", now_us=12 * H)
    set_back = ledger.read("5m", now_us=0)

    assert at_noon == set_back == {}


@pytest.mark.parametrize("read", [parse_length, parse_window])
def test_a_hint_names_only_what_is_accepted(read: Callable[[str], object]) -> None:
    """A grain has no `today` and no `all`, so its hint must not name them."""
    with pytest.raises(UnknownWindowError) as caught:
        read("1 week")
    named = re.findall(r"`(\w+)`|\b(\d+[smhd])\b", caught.value.hint or "")

    assert named
    for word, length in named:
        read(word or length)
