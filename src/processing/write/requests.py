"""The requests under way: since when they wait, and how to have none for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from agentflow.clock import Clock


class Requests:
    """Counts requests in and out on one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[int, int] = {}
        self._numbers = count()
        self._open = asyncio.Event()
        self._open.set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting_since_us(self) -> int | None:
        """When the oldest request under way began; None when there is none."""
        return next(iter(self._waiting.values()), None)

    @asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        """Count a request while the body runs; waits while another has exclusive use."""
        await self._open.wait()
        number = next(self._numbers)
        self._waiting[number] = self._clock.now_us()
        self._idle.clear()
        try:
            yield
        finally:
            del self._waiting[number]
            if not self._waiting:
                self._idle.set()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Let requests under way finish and new ones wait while the body runs."""
        self._open.clear()
        try:
            await self._idle.wait()
            yield
        finally:
            self._open.set()
