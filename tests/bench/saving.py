"""Saving the live state beside an event loop: how long the loop is away, and what it would cost it.

The state is the shop's, moved by events that nobody has read yet, so all of it has to be folded.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterable

import psutil

from processing.definitions import Definitions
from processing.live import LiveEngine, snapshot
from processing.live.corrections import NoGroupLog
from processing.runtime.fork import run_in_fork
from serving.wiring import tune_runtime
from tests.bench.engine import START_US, batches, judged
from tests.bench.figures import Figure
from tests.bench.world import shop, stream

EVENTS = 150_000
_BEAT_SECONDS = 0.001


def measure(scale: float) -> Iterable[Figure]:
    """Save in a copy of the process, as a platform does, and then in this one."""
    tune_runtime()
    definitions = Definitions.compile(shop())
    count = max(int(EVENTS * scale), 1_000)
    events = judged(definitions, stream(definitions.registry, count, rate=1_000, start_us=START_US))
    engine = LiveEngine(
        list(definitions.plans.values()),
        corrections=definitions.corrections(NoGroupLog()),
        now_us=START_US,
    )
    for batch in batches(events):
        engine.apply(batch, now_us=batch[-1][1].ingested_us)

    def save() -> None:
        snapshot.dump(
            engine, log_id="bench", fingerprints=definitions.meanings, gate=definitions.gate
        )

    gc.collect()
    gc.freeze()
    memory_mib = psutil.Process().memory_info().rss / 2**20
    longest, took = asyncio.run(_beside(save))
    begun = time.perf_counter()
    save()
    yield Figure(
        "longest pause while the live state is saved",
        longest * 1e3,
        50,
        "ms",
        "at_most",
        {
            "events": float(len(events)),
            "memory_mib": memory_mib,
            "saved_after_ms": took * 1e3,
            "on_the_loop_ms": (time.perf_counter() - begun) * 1e3,
        },
    )


async def _beside(save: Callable[[], None]) -> tuple[float, float]:
    """Return the longest time between two beats of the loop while *save* runs, and its whole."""
    begun = before = time.perf_counter()
    longest = 0.0
    saving = asyncio.ensure_future(run_in_fork(save))
    while not saving.done():
        await asyncio.sleep(_BEAT_SECONDS)
        longest, before = max(longest, time.perf_counter() - before), time.perf_counter()
    await saving
    return longest, time.perf_counter() - begun
