"""What every kind of stream has in common: room, heartbeats, waiting to be woken."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

from agentflow.errors import TooManyStreamsError

Follow: TypeAlias = Callable[[Callable[[bytes], None]], Callable[[], None]]
HEARTBEAT_SECONDS: Final = 15.0
MAX_SUBSCRIBERS: Final = 1_000
MAX_STREAMS_OF_ONE: Final = 250
_STREAMS_A_TURN: Final = 8
HEARTBEAT: Final = b": still here\n\n"
RETRY: Final = b"retry: 1000\n\n"


class Pulse:
    """Tells when a stream has been silent for so long that it must show it is alive."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + HEARTBEAT_SECONDS

    def written(self) -> None:
        """Note that the subscriber was just sent something."""
        self._due = self._loop.time() + HEARTBEAT_SECONDS

    @property
    def due(self) -> bool:
        """Whether a heartbeat is needed now."""
        return self._loop.time() >= self._due

    async def wait(self, woken: asyncio.Event, *, at_most: float = HEARTBEAT_SECONDS) -> None:
        """Wait until woken, until a heartbeat is due, or *at_most* that many seconds."""
        left = max(0.0, min(at_most, self._due - self._loop.time()))
        try:
            async with asyncio.timeout(left):
                await woken.wait()
        except TimeoutError:
            return


class Ending:
    """Why a stream is to end although its subscriber still reads; nothing until that is told.

    Args:
        follow: Is given what takes the reason, as JSON, when there is one; returns what stops that.
    """

    def __init__(self, follow: Follow | None = None) -> None:
        self._follow = follow
        self.reason: bytes | None = None

    @contextmanager
    def heard(self, woken: asyncio.Event) -> Iterator[None]:
        """Set *woken* when there is a reason, while the body runs."""

        def tell(reason: bytes) -> None:
            self.reason = reason
            woken.set()

        leave = None if self._follow is None else self._follow(tell)
        try:
            yield
        finally:
            if leave is not None:
                leave()

    @property
    def message(self) -> bytes | None:
        """The last message of the stream, once it is to end."""
        return None if self.reason is None else end_message(self.reason)


def end_message(problem: bytes) -> bytes:
    """Return the message that says why a stream ends, which is a problem as JSON."""
    return b"event: end\ndata: %b\n\n" % problem


class Subscribers:
    """Who has streams open, and whose turn it is to be served. One event loop.

    A batch of a thousand events wakes every stream at once. Served one after the other in one turn
    of the loop they would keep every request waiting; so only a few are served in each.
    """

    def __init__(self, limit: int = MAX_SUBSCRIBERS, *, each: int = MAX_STREAMS_OF_ONE) -> None:
        self._limit = limit
        self._each = each
        self._open: Counter[str] = Counter()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turning = False

    def require_room(self, subscriber: str) -> None:
        """Refuse one stream too many.

        Raises:
            TooManyStreamsError: There are too many in all, or too many of *subscriber*.
        """
        if self._open[subscriber] >= self._each:
            raise TooManyStreamsError(
                f"this API key has {self._each} open streams already",
                hint="Close streams that are not read, or ask for several metrics in one.",
            )
        if self._open.total() >= self._limit:
            raise TooManyStreamsError(
                f"there are {self._limit} open streams already",
                hint="Try again later, or read with GET meanwhile.",
            )

    @contextmanager
    def entered(self, subscriber: str) -> Iterator[None]:
        """Count a stream of *subscriber* while the body runs."""
        self._open[subscriber] += 1
        try:
            yield
        finally:
            self._open[subscriber] -= 1
            self._open += Counter()  # forgets those who have none

    async def turn(self) -> None:
        """Wait until it is this stream's turn: first come, first served."""
        loop = asyncio.get_running_loop()
        mine = loop.create_future()
        self._waiting.append(mine)
        if not self._turning:
            self._turning = True
            loop.call_soon(self._serve)
        await mine

    def _serve(self) -> None:
        for _ in range(min(_STREAMS_A_TURN, len(self._waiting))):
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
        self._turning = bool(self._waiting)
        if self._turning:
            asyncio.get_running_loop().call_soon(self._serve)
