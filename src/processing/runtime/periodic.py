"""Work that is done again and again in the background, with a pause after each time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from agentflow.supervision import Supervisor

RETRY_EVERY: Final = timedelta(seconds=15)
"""How often to try again what failed, so that a fault that is over is not shown any longer."""


def repeated(
    supervisor: Supervisor, name: str, part: str, work: Callable[[], object], *, every: timedelta
) -> asyncio.Task[None]:
    """Return a task that does blocking *work* in a thread, at once and after each pause."""

    async def in_thread() -> None:
        await asyncio.to_thread(work)

    return recurring(supervisor, name, part, in_thread, every=every)


def recurring(
    supervisor: Supervisor,
    name: str,
    part: str,
    work: Callable[[], Awaitable[object]],
    *,
    every: timedelta,
) -> asyncio.Task[None]:
    """Return a task that does *work* on the event loop, at once and after each pause."""
    activity = supervisor.activity(name, part)

    async def repeat() -> None:
        while True:
            await work()
            activity.well()
            await supervisor.timers.sleep(every.total_seconds())

    return supervisor.task(name, part, repeat)
