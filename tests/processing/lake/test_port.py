"""The conformance suite of `LakeSync`: a thread that writes, and a follower of another's lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from agentflow.errors import StorageError
from processing.lake import LakeFollower, LakeHealth, LakeSync, LakeThread, Positions

SOON = timedelta(seconds=20)
GOAL = Positions(3, 1)


class World:
    """A lake that reaches `GOAL` whenever it is written or looked at, unless it is `broken`."""

    def __init__(self) -> None:
        self.broken = False
        self.covered = Positions()

    def reach(self, goal: Positions) -> Positions:
        """Stand in for `LakeWriter.write_up_to`."""
        if self.broken:
            raise StorageError("the store does not answer")
        self.covered = self.covered.joined(goal)
        return self.covered

    write_up_to = reach

    def look(self) -> LakeHealth:
        return LakeHealth(self.reach(GOAL), ())


def writing(world: World) -> LakeSync:
    return LakeThread(world, interval=timedelta(milliseconds=5))  # type: ignore[arg-type]


def following(world: World) -> LakeSync:
    return LakeFollower(world.look, adopt=lambda _: None, interval=timedelta(milliseconds=5))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(params=[writing, following], ids=["thread", "follower"])
def sync(world: World, request: pytest.FixtureRequest) -> Iterator[LakeSync]:
    """Every implementation, not started."""
    make: Callable[[World], LakeSync] = request.param
    made = make(world)
    yield made
    world.broken = False
    made.close()


def test_a_flush_returns_once_the_goal_is_covered(sync: LakeSync) -> None:
    """A proof that reads the lake alone waits here."""
    sync.start()
    sync.notify(GOAL)

    assert sync.flush(GOAL, timeout=SOON)
    assert sync.covered.reaches(GOAL)
    assert sync.flush(GOAL, timeout=timedelta(0))
    assert sync.readable


def test_a_flush_that_takes_too_long_says_no(sync: LakeSync) -> None:
    """Nothing works on it before the start, and a caller with a deadline gets an answer."""
    assert not sync.flush(GOAL, timeout=timedelta(milliseconds=1))
    assert sync.covered == Positions()
    sync.start()


def test_a_failure_is_raised_by_the_flush_that_meets_it_and_passes(
    sync: LakeSync, world: World
) -> None:
    """Health says why the lake stands still, until it goes on."""
    world.broken = True
    sync.start()
    sync.notify(GOAL)

    with pytest.raises(StorageError, match="does not answer"):
        sync.flush(GOAL, timeout=SOON)
    failure = sync.failure
    world.broken = False

    assert isinstance(failure, StorageError)
    while not sync.covered.reaches(GOAL):
        try:
            assert sync.flush(GOAL, timeout=SOON)
        except StorageError:
            continue  # an attempt that began before
    assert sync.maintained == 0
