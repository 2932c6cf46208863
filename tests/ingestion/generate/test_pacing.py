"""Events leave when they are due, and no sooner."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from agentflow.clock import ManualClock
from ingestion.generate import Generated, paced


def batches_of(
    due: list[int], *, work_ms: int = 0, limit: int = 1000
) -> list[tuple[int, list[int]]]:
    """Return when what came, on a clock that only sleeping and *work_ms* a batch move."""
    clock = ManualClock()
    events = [Generated(due_us, b"{}", "good") for due_us in due]
    seen: list[tuple[int, list[int]]] = []

    async def sleep(seconds: float) -> None:
        clock.advance(timedelta(seconds=seconds))

    async def run() -> None:
        async for batch in paced(events, clock=clock, sleep=sleep, limit=limit):
            seen.append((clock.now_us(), [event.due_us for event in batch]))
            clock.advance(timedelta(milliseconds=work_ms))

    asyncio.run(run())
    return seen


def test_slow_streams_come_one_by_one() -> None:
    """At ten events a second each leaves at its own time."""
    assert batches_of([0, 100_000, 200_000]) == [
        (0, [0]),
        (100_000, [100_000]),
        (200_000, [200_000]),
    ]


def test_fast_streams_come_in_slices() -> None:
    """At 10,000 a second a timer for each event would cost more than the events."""
    found = batches_of(list(range(0, 20_000, 100)))

    assert len(found) <= 5
    assert all(due <= now for now, batch in found for due in batch)


def test_a_slow_consumer_catches_up_in_full_batches_and_misses_nothing() -> None:
    """The rate is kept over time, not event by event."""
    due = list(range(0, 1_000_000, 1_000))

    found = batches_of(due, work_ms=100, limit=60)

    assert [each for _, batch in found for each in batch] == due
    assert max(len(batch) for _, batch in found) == 60
