"""Long work on the event loop, a few milliseconds at a time, so that others do not wait long."""

from __future__ import annotations

import asyncio
import decimal
from collections import deque
from collections.abc import Iterable
from time import perf_counter
from typing import Final

from agentflow.metrics.arithmetic import EXACT

SLICE_SECONDS: Final = 0.004
SLICED_ABOVE: Final = 500
"""What takes more steps, a cell in each, is done in slices."""


async def in_slices(steps: Iterable[object]) -> None:
    """Do all *steps*; whatever else is due on the loop is done between them."""
    with decimal.localcontext(EXACT):
        until = perf_counter() + SLICE_SECONDS
        for _ in steps:
            if perf_counter() >= until:
                await asyncio.sleep(0)
                until = perf_counter() + SLICE_SECONDS


def at_once(steps: Iterable[object]) -> None:
    """Do all *steps* without a pause: for few, or off the loop."""
    with decimal.localcontext(EXACT):
        deque(steps, maxlen=0)
