"""Makes stored events visible: the live engine moves, then the change feed tells."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from agentflow.clock import Clock
from agentflow.events import Event
from processing.live import LiveEngine
from processing.write.change_feed import ChangeFeed, VisibleChange

_LATENCIES_KEPT: Final = 4_096


class Applier:
    """Applies what is stored, on one event loop, in offset order.

    Attributes:
        counts: What became of events, by outcome.
        latencies_us: From arrival to this moment, of the newest events.
    """

    def __init__(
        self,
        engine: LiveEngine,
        changes: ChangeFeed,
        clock: Clock,
        *,
        lost: Callable[[BaseException], None],
    ) -> None:
        """Prepare; *lost* is told when the engine failed on a batch and holds a part of it."""
        self.latencies_us: deque[int] = deque(maxlen=_LATENCIES_KEPT)
        self.counts = {"accepted": 0, "duplicate": 0, "rejected": 0}
        self._engine = engine
        self._changes = changes
        self._clock = clock
        self._lost = lost

    def apply(
        self,
        events: Sequence[tuple[int, Event]],
        *,
        received_us: Iterable[int],
        counts: Mapping[str, int],
        dead_letters: range,
    ) -> None:
        """Move the metrics of *events*, which are (offset, event), and publish the change."""
        now_us = self._clock.now_us()
        try:
            moved = self._engine.apply(events, now_us=now_us)
        except BaseException as error:
            self._lost(error)
            raise
        self.latencies_us.extend(now_us - instant for instant in received_us)
        for outcome, count in counts.items():
            self.counts[outcome] += count
        self._changes.publish(
            VisibleChange(
                next_offset=self._engine.next_offset,
                moved=moved,
                events=events,
                dead_letters=dead_letters,
            )
        )


def counted(outcomes: Iterable[str]) -> Mapping[str, int]:
    """Count outcomes by name."""
    return Counter(outcomes)
