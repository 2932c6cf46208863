"""How events get in and become visible, whatever is in between: an fsync, or a whole stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from agentflow.clock import Clock
from agentflow.events import RawEvent
from agentflow.supervision import Supervisor
from ingestion.log.port import CommitLog
from processing.definitions import Definitions
from processing.live import LiveEngine
from processing.write.change_feed import ChangeFeed
from processing.write.results import EventResult
from processing.write.tokens import Token


@dataclass(frozen=True, slots=True)
class IntakeDependencies:
    """What an intake is built from.

    Attributes:
        lost: Is told when live state holds a part of a batch.
    """

    definitions: Definitions
    engine: LiveEngine
    log: CommitLog
    changes: ChangeFeed
    clock: Clock
    supervisor: Supervisor
    lost: Callable[[BaseException], None]


@dataclass(frozen=True, slots=True)
class StreamState:
    """How far the platform is with the stream it follows.

    Attributes:
        broker: What the stream is on, as messages name it.
        connected: Whether the broker answers.
        raw_events: Raw events whose outcome is not visible yet, as far as that is known.
        unread_events: Outcomes in the stream that are not visible yet.
        seconds: Age of what may be missing; None when nothing is.
        drained_per_second: How many raw events were settled each second, when there was work.
        jumped: Raw offsets that were passed over because they do not exist.
        unreadable: Records of the stream that cannot be read; they were passed over.
        paused: Why nothing is read at this moment.
        failure: Why nothing is read; reading begins again by itself.
        fix: What fixes the failure, where that is known.
    """

    broker: str
    connected: bool
    raw_events: int
    unread_events: int
    seconds: float | None
    drained_per_second: float
    jumped: int = 0
    unreadable: int = 0
    paused: str | None = None
    failure: str | None = None
    fix: str | None = None


class Visibility(Protocol):
    """What is visible, in the positions that tokens of this platform are made of.

    Conformance: `tests/processing/write/test_port.py`.
    """

    def token(self) -> Token:
        """Return a token that covers everything visible now."""
        ...

    def token_of(self, results: Sequence[EventResult]) -> Token:
        """Return a token that covers the events in *results*."""
        ...

    def covers(self, token: Token) -> bool:
        """Tell whether everything behind *token* is visible.

        Raises:
            TokenError: It belongs to another log.
        """
        ...

    async def reach(self, token: Token, *, within: timedelta) -> None:
        """Return once everything behind *token* is visible.

        Raises:
            TokenError: It belongs to another log.
            NotYetVisibleError: That took longer than *within*.
        """
        ...


class EventIntake(Protocol):
    """How events get in and become visible, whatever is in between.

    Attributes:
        counts: What became of events, by outcome.
        latencies_us: From arrival to visible, of the newest events.
    """

    counts: dict[str, int]
    latencies_us: deque[int]

    @property
    def visibility(self) -> Visibility:
        """What is visible, in tokens."""
        ...

    @property
    def backlog_events(self) -> int:
        """Events taken and not yet durable."""
        ...

    @property
    def waiting_since_us(self) -> int | None:
        """Since when something waits to be visible, or may; None when nothing does."""
        ...

    @property
    def stream(self) -> StreamState | None:
        """How far it is with the stream that is followed; None where there is none."""
        ...

    def adopt(self, definitions: Definitions) -> None:
        """Go by other contracts from now on; call it while `exclusive`."""
        ...

    def resume(self) -> None:
        """Go on after live state was rebuilt; call it while `exclusive`."""
        ...

    async def start(self) -> None:
        """Begin, once live state is complete."""
        ...

    async def ingest(self, raws: Sequence[RawEvent]) -> list[EventResult]:
        """Make *raws* durable and say what becomes of each."""
        ...

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Let nothing become visible while the body runs."""
        ...

    async def close(self) -> None:
        """Finish what was taken and refuse the rest."""
        ...
