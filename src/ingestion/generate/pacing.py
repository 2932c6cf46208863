"""Simulated time against real time: hands out events when they are due."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

from agentflow.clock import Clock
from ingestion.generate.generator import Generated

_SLICE_SECONDS = 0.005


async def paced(
    events: Iterable[Generated],
    *,
    clock: Clock,
    sleep: Callable[[float], Awaitable[None]],
    limit: int = 1_000,
) -> AsyncIterator[Sequence[Generated]]:
    """Yield events in batches, never before they are due, at most *limit* at once.

    A consumer that falls behind gets what has become due meanwhile in full batches, so the rate
    holds over time and nothing is skipped. Waits are at least 5 ms: at high rates events come in
    batches instead of by thousands of timers.

    Args:
        events: A generator's stream; its start decides when the first is due.
        clock: Tells the time that due times are held against.
        sleep: Waits so many seconds, for example `asyncio.sleep`.
        limit: The largest batch.
    """
    batch: list[Generated] = []
    for event in events:
        ahead_us = event.due_us - clock.now_us()
        if batch and (ahead_us > 0 or len(batch) >= limit):
            yield batch
            batch = []
            ahead_us = event.due_us - clock.now_us()
        if ahead_us > 0:
            await sleep(max(ahead_us / 1_000_000, _SLICE_SECONDS))
        batch.append(event)
    if batch:
        yield batch
