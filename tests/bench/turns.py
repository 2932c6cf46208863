"""Imported in a server's process before it starts: writes how long its event loop did not turn.

A line of JSON for each tenth of a second: when, and the longest time between two turns in it, by
the clock and by processor time of its thread. What other processes take is in the first only.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import serving.wiring

SETTING = "BENCH_TURNS"
_EVERY_SECONDS = 0.001
_WRITTEN_EVERY = 0.1


async def _watch(path: Path) -> None:
    with path.open("a", buffering=1) as file:
        written = turned = time.perf_counter()
        cpu = time.thread_time()
        longest = longest_cpu = 0.0
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            now, now_cpu = time.perf_counter(), time.thread_time()
            longest, longest_cpu = max(longest, now - turned), max(longest_cpu, now_cpu - cpu)
            turned, cpu = now, now_cpu
            if now - written >= _WRITTEN_EVERY:
                file.write(json.dumps({"at": now, "wall": longest, "cpu": longest_cpu}) + "\n")
                written, longest, longest_cpu = now, 0.0, 0.0


def _watched(run: Callable[[Callable[[], Awaitable[int]]], int]) -> Callable[..., int]:
    def instead(main: Callable[[], Awaitable[int]]) -> int:
        async def both() -> int:
            watching = asyncio.create_task(_watch(Path(os.environ[SETTING])))
            try:
                return await main()
            finally:
                watching.cancel()

        return run(both)

    return instead


serving.wiring.run = _watched(serving.wiring.run)
