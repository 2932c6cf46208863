"""How a lake that another program writes is waited for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from queue import Queue

from agentflow.errors import StorageError
from agentflow.supervision import Supervisor
from processing.lake import LakeFollower, LakeHealth, Positions
from processing.lake.housekeeping import Housekeeping


def followed(positions: Callable[[], Positions], *, interval: timedelta) -> LakeFollower:
    return LakeFollower(
        lambda: LakeHealth(positions(), ()), adopt=lambda _: None, interval=interval
    )


def test_the_lake_is_looked_at_more_often_while_somebody_waits() -> None:
    """The job writes when it does; who waits is told at the next look and not a minute later."""
    answers = iter([Positions(1, 0), Positions(2, 1), Positions(5, 1)])
    last = [Positions(5, 1)]
    follower = followed(lambda: next(answers, last[0]), interval=timedelta(seconds=60))
    follower.start()

    assert follower.flush(Positions(5, 1), timeout=timedelta(seconds=20))
    assert not follower.flush(Positions(6, 0), timeout=timedelta(0))
    assert follower.covered == Positions(5, 1)
    follower.close()


def test_a_lake_that_cannot_be_looked_at_is_a_failure_that_passes() -> None:
    """Answers go on; health says why proofs wait."""
    looks: Queue[bool] = Queue()
    broken = [True]

    def look() -> Positions:
        looks.put(broken[0])
        if broken[0]:
            raise StorageError("the catalog does not answer")
        return Positions(7, 7)

    follower = followed(look, interval=timedelta(milliseconds=5))
    follower.start()
    assert looks.get(timeout=10)
    assert looks.get(timeout=10)
    assert isinstance(follower.failure, StorageError)
    assert not follower.readable
    broken[0] = False
    while looks.get(timeout=10):
        pass  # a look that began before

    assert follower.flush(Positions(7, 7), timeout=timedelta(seconds=20))
    assert follower.failure is None
    assert follower.readable
    follower.close()


def test_maintenance_that_fails_ends_nothing() -> None:
    """A store that goes away in the middle of it must not leave the lake looking stuck for ever."""
    looks: Queue[None] = Queue()

    def look() -> LakeHealth:
        looks.put(None)
        return LakeHealth(Positions(1, 1), ())

    def maintain() -> None:
        raise ConnectionResetError("S3 is gone")

    follower = LakeFollower(
        look,
        adopt=lambda _: None,
        interval=timedelta(milliseconds=5),
        housekeeping=Housekeeping(Supervisor(), maintain=maintain, every=timedelta(0)),
    )
    follower.start()
    for _ in range(3):
        looks.get(timeout=10)

    assert follower.failure is None
    follower.close()
