"""The change feed: subscribers are told of every change and need not ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agentflow.events import Event
from agentflow.supervision import Activity
from processing.live import Moved


@dataclass(frozen=True, slots=True)
class VisibleChange:
    """One committed batch, after the live engine applied it.

    Attributes:
        next_offset: The position in `validated` that is now visible to every read.
        moved: The metrics that moved, each once.
        events: The accepted events with their offsets, in order.
        dead_letters: Offsets of new dead letters.
    """

    next_offset: int
    moved: Sequence[Moved]
    events: Sequence[tuple[int, Event]]
    dead_letters: range


class ChangeFeed:
    """Calls every subscriber on the event loop, in commit order. Subscribers must not block.

    One that fails holds up neither the others nor what stores events; *activity* shows it.
    """

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._subscribers: dict[int, Callable[[VisibleChange], None]] = {}
        self._next = 0
        self._last: VisibleChange | None = None

    def subscribe(self, callback: Callable[[VisibleChange], None]) -> Callable[[], None]:
        """Add a subscriber and return the function that removes it."""
        number = self._next
        self._next += 1
        self._subscribers[number] = callback

        def unsubscribe() -> None:
            self._subscribers.pop(number, None)

        return unsubscribe

    def publish(self, change: VisibleChange) -> None:
        """Tell every subscriber."""
        self._last = change
        failure: BaseException | None = None
        for callback in tuple(self._subscribers.values()):
            try:
                callback(change)
            except BaseException as error:  # noqa: BLE001 - shown by health
                failure = error
                self._activity.failed(error)
        if failure is None:
            self._activity.well()

    async def retry(self) -> None:
        """Tell all once more how far it is, if one failed: no event has to come to see it follow.

        What it is told is a change in which nothing moved.
        """
        if self._last is not None and self._activity.status.state == "failing":
            end = self._last.dead_letters.stop
            self.publish(replace(self._last, moved=(), events=(), dead_letters=range(end, end)))
