"""Waiting until the live engine has reached a position, without polling."""

from __future__ import annotations

import asyncio
import heapq
from datetime import timedelta
from itertools import count

from agentflow.errors import NotYetVisibleError


class Arrivals:
    """Readers that wait for an offset, woken by the change feed. One event loop."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def arrived(self, next_offset: int) -> None:
        """Wake everybody whose position is now covered."""
        while self._waiting and self._waiting[0][0] <= next_offset:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)

    async def wait(self, end: int, *, within: timedelta) -> None:
        """Return once everything before *end* is visible.

        Raises:
            NotYetVisibleError: If that took longer than *within*.
        """
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (end, next(self._numbers), future))
        try:
            await asyncio.wait_for(future, within.total_seconds())
        except TimeoutError:
            raise NotYetVisibleError(
                "the event behind the token is not visible yet",
                hint="Retry, or allow more time with the header `Prefer: wait=5`.",
            ) from None
