"""What every kind of stream has in common: room, heartbeats, waiting to be woken."""

from __future__ import annotations

import asyncio
from typing import Final

from agentflow.errors import UnavailableError

HEARTBEAT_SECONDS: Final = 15.0
MAX_SUBSCRIBERS: Final = 1_000
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


def require_room(subscribers: int) -> None:
    """Refuse one subscriber too many.

    Raises:
        UnavailableError: There are `MAX_SUBSCRIBERS` already.
    """
    if subscribers >= MAX_SUBSCRIBERS:
        raise UnavailableError(
            f"there are {MAX_SUBSCRIBERS} open streams already",
            hint="Close streams that are not read, or ask for several metrics in one.",
        )
