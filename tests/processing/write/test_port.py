"""The conformance suite of `Visibility`: positions of the log, or of raw partitions."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Protocol, cast

import pytest

from agentflow.errors import NotYetVisibleError, TokenError
from processing.follow.visibility import StreamVisibility
from processing.live import LiveEngine
from processing.write.port import Visibility
from processing.write.results import EventResult
from processing.write.tokens import Token
from processing.write.visibility import LogVisibility

SOON = timedelta(seconds=20)


class Engine:
    """What is read of a live engine."""

    next_offset = 0


class Rig(Protocol):
    """A visibility and the way in which things become visible."""

    @property
    def visibility(self) -> Visibility: ...

    def event(self, offset: int) -> EventResult: ...

    def advance(self, end: int) -> None: ...


class LogRig:
    """An event is visible once the engine has applied its offset."""

    def __init__(self) -> None:
        self._engine = Engine()
        self.visibility = LogVisibility("log", cast("LiveEngine", self._engine))

    def event(self, offset: int) -> EventResult:
        return EventResult("accepted", "e", "t", offset, None, ())

    def advance(self, end: int) -> None:
        self._engine.next_offset = end
        self.visibility.arrived(end)


class StreamRig:
    """An event is visible once its raw partition is accounted for."""

    def __init__(self) -> None:
        self.visibility = StreamVisibility("log", cast("LiveEngine", Engine()))
        self.visibility.settle()

    def event(self, offset: int) -> EventResult:
        return EventResult("accepted", "e", "t", None, None, (), raw=("raw/0", offset))

    def advance(self, end: int) -> None:
        self.visibility.advance({"raw/0": end})


@pytest.fixture(params=[LogRig, StreamRig], ids=["log", "stream"])
def rig(request: pytest.FixtureRequest) -> Rig:
    """Every implementation, with nothing visible."""
    made: Rig = request.param()
    return made


def test_an_event_is_covered_once_it_is_visible(rig: Rig) -> None:
    """And the token of what is visible covers it from then on."""
    token = rig.visibility.token_of([rig.event(4), rig.event(2)])

    rig.advance(4)
    before = rig.visibility.covers(token)
    rig.advance(5)

    assert not before
    assert rig.visibility.covers(token)
    assert token.covered_by(rig.visibility.token())


def test_events_without_a_position_ask_for_nothing(rig: Rig) -> None:
    """A rejected event moves no number that a reader could wait for."""
    rejected = EventResult("rejected", None, None, None, 0, ())

    assert rig.visibility.covers(rig.visibility.token_of([rejected]))


def test_a_reader_that_waits_is_woken(rig: Rig) -> None:
    """By what becomes visible, in whatever steps."""

    async def read() -> None:
        token = rig.visibility.token_of([rig.event(1)])
        waiting = asyncio.create_task(rig.visibility.reach(token, within=SOON))
        await asyncio.sleep(0)
        rig.advance(1)
        await asyncio.sleep(0)
        assert not waiting.done()
        rig.advance(2)
        await waiting

    asyncio.run(read())


def test_a_reader_that_waited_too_long_is_told(rig: Rig) -> None:
    """It gets a clear problem and no older number."""
    token = rig.visibility.token_of([rig.event(1)])

    with pytest.raises(NotYetVisibleError):
        asyncio.run(rig.visibility.reach(token, within=timedelta(milliseconds=1)))


def test_a_token_of_another_log_is_refused(rig: Rig) -> None:
    """Its offsets mean nothing here."""
    token = Token("another", {"validated/0": 0})

    with pytest.raises(TokenError, match="another log"):
        rig.visibility.covers(token)
    with pytest.raises(TokenError, match="another log"):
        asyncio.run(rig.visibility.reach(token, within=SOON))
