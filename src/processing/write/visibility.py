"""What is visible, as tokens say it, and waiting until something is, without polling."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Final

from agentflow.errors import NotYetVisibleError
from ingestion.log.port import VALIDATED
from processing.live import LiveEngine
from processing.write.results import EventResult
from processing.write.tokens import Token

PARTITION: Final = f"{VALIDATED}/0"
"""The one partition that gives accepted events their order."""


class Arrivals:
    """Readers that wait for an offset, woken by the change feed. One event loop."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def __bool__(self) -> bool:
        """Tell whether a reader waits."""
        return bool(self._waiting)

    def arrived(self, next_offset: int) -> None:
        """Wake the readers whose position is now covered."""
        while self._waiting and self._waiting[0][0] <= next_offset:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)

    async def wait(self, end: int, *, within: timedelta) -> None:
        """Return once everything before *end* is visible.

        Raises:
            NotYetVisibleError: If that took longer than *within*.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (end, next(self._numbers), future)
        heapq.heappush(self._waiting, waiter)
        woken = False
        try:
            await asyncio.wait_for(future, within.total_seconds())
            woken = True
        except TimeoutError:
            raise NotYetVisibleError(
                "the event behind the token is not visible yet",
                hint="Retry, or allow more time with the header `Prefer: wait=5`.",
            ) from None
        finally:
            if not woken:
                self._forget(waiter)

    def _forget(self, waiter: tuple[int, int, asyncio.Future[None]]) -> None:
        """Forget a reader that gave up: one with a token far ahead would never leave."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            heapq.heapify(self._waiting)


class LogVisibility:
    """Visibility in offsets of `validated`: what is accepted here is visible in that order."""

    def __init__(self, log_id: str, engine: LiveEngine) -> None:
        self._log_id = log_id
        self._engine = engine
        self._arrivals = Arrivals()

    def arrived(self, next_offset: int) -> None:
        """Wake who waited for what is visible now."""
        self._arrivals.arrived(next_offset)

    def token(self) -> Token:
        """Return a token that covers everything visible now."""
        return Token(self._log_id, {PARTITION: self._engine.next_offset})

    def token_of(self, results: Sequence[EventResult]) -> Token:
        """Return a token that covers the events in *results*."""
        ends = [result.offset + 1 for result in results if result.offset is not None]
        return Token(self._log_id, {PARTITION: max(ends, default=0)})

    def covers(self, token: Token) -> bool:
        """Tell whether everything behind *token* is visible.

        Raises:
            TokenError: It belongs to another log.
        """
        token.require_log(self._log_id)
        return token.ends.get(PARTITION, 0) <= self._engine.next_offset

    async def reach(self, token: Token, *, within: timedelta) -> None:
        """Return once everything behind *token* is visible.

        Raises:
            TokenError: It belongs to another log.
            NotYetVisibleError: That took longer than *within*.
        """
        if not self.covers(token):
            await self._arrivals.wait(token.ends[PARTITION], within=within)
