"""Lag: never younger than it is, bounded, and a wait that follows from what was measured."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processing.follow.lag import SECOND_US, Drain, Lag, ObservedEnds, Pressure

STEPS = st.lists(
    st.tuples(st.sampled_from(["observe", "reach"]), st.integers(0, 50), st.integers(0, 90_000)),
    max_size=60,
)


@given(steps=STEPS)
def test_the_age_of_what_is_not_reached_is_never_too_small(
    steps: list[tuple[str, int, int]],
) -> None:
    """A stale number must never be dressed as fresh; one moment too old is allowed."""
    place, seen, reached, now_us = ObservedEnds(), list[tuple[int, int]](), 0, 0
    for what, number, elapsed_us in steps:
        now_us += elapsed_us
        if what == "observe":
            place.observe(number, now_us)
            seen.append((number, now_us))
        else:
            place.reach(number)
            reached = max(reached, number)
        waiting = [at for end, at in seen if end > reached]
        assert (place.since_us is None) == (not waiting)
        if waiting and place.since_us is not None:
            assert place.since_us <= min(waiting)
            assert place.end == max(end for end, _ in seen)


def test_memory_is_bounded_however_long_nothing_is_reached() -> None:
    """A job that is down for a day costs no more than one that is down for a minute."""
    place = ObservedEnds()
    for second in range(86_400):
        place.observe(second + 1, second * SECOND_US)

    assert len(place._ends) <= 512  # noqa: SLF001 - the bound is the point
    assert place.since_us == 0
    place.reach(86_400)
    assert place.since_us is None


def test_nobody_to_ask_is_a_reason_to_doubt() -> None:
    """A broker that is gone may have taken events that nobody sees."""
    lag = Lag(since_us=5)
    assert lag.waiting_since_us == 5
    lag.heard({"raw/0": 3}, at_us=10)
    assert lag.waiting_since_us == 10
    lag.reach({"raw/0": 3})
    assert lag.waiting_since_us is None
    lag.lost(at_us=20)
    lag.lost(at_us=30)

    assert not lag.connected
    assert lag.waiting_since_us == 20


def test_a_place_where_nothing_comes_is_named() -> None:
    """The end may lie behind the mark of a transaction, which is never an event."""
    lag = Lag(since_us=0)
    lag.heard({"raw/0": 3, "raw/1": 2}, at_us=10)
    lag.reach({"raw/0": 2, "raw/1": 2})

    assert lag.overdue(before_us=11) == [("raw/0", 3)]
    assert lag.overdue(before_us=10) == []


def test_the_rate_is_what_was_settled_while_there_was_work() -> None:
    """An idle second says nothing about how fast a backlog would shrink."""
    drain = Drain()
    for second in range(10):
        drain.sample(second * 1_000, behind=500, at_us=second * SECOND_US)
    assert drain.per_second == 1_000
    drain.sample(9_000, behind=0, at_us=11 * SECOND_US)
    assert drain.per_second == 1_000
    for second in range(12, 40):
        drain.sample(9_000, behind=500, at_us=second * SECOND_US)

    assert drain.per_second < 1


def test_callers_are_told_when_there_will_be_room() -> None:
    """Half of the limit is room: whoever comes back then is let in."""
    pressure = Pressure(1_000)

    assert pressure.retry_seconds(1_000, 100.0) is None
    assert pressure.retry_seconds(1_500, 100.0) == 10
    assert pressure.retry_seconds(1_001, 100_000.0) == 1
    assert pressure.retry_seconds(10**9, 1.0) == 300
    assert pressure.retry_seconds(1_001, 0.0) == 30
