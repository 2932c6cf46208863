"""The small parts of following: what is under way, and who watches."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from queue import Queue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.clock import SystemClock
from agentflow.errors import NotYetVisibleError, UnavailableError
from ingestion.stream.port import TopicEnds
from processing.follow.in_flight import InFlight
from processing.follow.watcher import EndsWatcher
from processing.write.visibility import Arrivals

SENT = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("ab"), st.integers(0, 20)))


@given(sent=SENT, frontiers=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 22))))
def test_an_event_is_under_way_until_its_offset_is_passed(
    sent: list[tuple[int, str, int]], frontiers: list[tuple[str, int]]
) -> None:
    """In whatever order requests are answered; an identity sent twice is under way twice."""
    under_way, reached = InFlight(), dict[str, int]()
    for identity, place, offset in sent:
        under_way.add(bytes([identity]), b"content", partition=place, offset=offset)
    for place, frontier in frontiers:
        reached[place] = max(reached.get(place, 0), frontier)
        under_way.settle(reached)

    left = Counter(name for name, place, offset in sent if offset >= reached.get(place, 0))
    assert [bytes([name]) in under_way for name in range(5)] == [
        left[name] > 0 for name in range(5)
    ]
    assert len(under_way) == left.total()


def test_who_gives_up_waiting_is_forgotten() -> None:
    """A token of far beyond must not cost memory for ever."""

    async def give_up() -> Arrivals:
        arrivals = Arrivals()
        with pytest.raises(NotYetVisibleError):
            await arrivals.wait(10**9, within=timedelta(0))
        waiting = asyncio.create_task(arrivals.wait(5, within=timedelta(seconds=9)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return arrivals

    assert not asyncio.run(give_up())


def test_an_alarm_counts_before_the_broker_is_asked() -> None:
    """The answer would take seconds, in which numbers would look fresh."""
    said: Queue[str] = Queue()

    def ends() -> TopicEnds:
        said.put("asked")
        raise UnavailableError("nobody answers")

    watcher = EndsWatcher(
        ends,
        heard=lambda _ends, _at: said.put("heard"),
        lost=lambda _: said.put("lost"),
        clock=SystemClock(),
        interval_seconds=60,
    )
    watcher.start()
    first = [said.get(timeout=10) for _ in range(2)]
    watcher.alarm()
    then = [said.get(timeout=10) for _ in range(3)]
    watcher.stop()

    assert (first, then) == (["asked", "lost"], ["lost", "asked", "lost"])


def test_what_a_watcher_hears_carries_the_instant_before_the_question() -> None:
    """Afterwards there may have been more."""
    heard: Queue[tuple[TopicEnds, int]] = Queue()
    clock = SystemClock()
    answer = TopicEnds({"validated": 3}, {}, {})
    before_us = clock.now_us()
    watcher = EndsWatcher(
        lambda: answer,
        heard=lambda ends, at_us: heard.put((ends, at_us)),
        lost=lambda _: None,
        clock=clock,
    )
    watcher.start()
    ends, at_us = heard.get(timeout=10)
    watcher.stop()

    assert ends is answer
    assert before_us <= at_us <= clock.now_us()
