"""The shop the measurements run on: its contracts and a seeded stream of its events."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from agentflow.contracts import Registry
from agentflow.events import RawEvent
from agentflow.lint import load
from ingestion.generate import Generated, Profile, read_scenario

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "contracts"
SCRATCH = ROOT / "build" / "bench"
"""On the project's own disk: an fsync into a temporary file system in memory costs nothing."""
SEED = 20_261_121
TENANT = "default"


def shop() -> Registry:
    """Load the shop's contracts."""
    return load(CONTRACTS)


def stream(
    registry: Registry, count: int, *, rate: float, start_us: int, seed: int = SEED
) -> list[Generated]:
    """Return the first *count* events: 1 % each late, duplicate and bad, 2 % out of order."""
    generator = read_scenario(CONTRACTS, registry).generator(
        seed=seed, start_us=start_us, profile=Profile(rate=rate)
    )
    return list(islice(generator.events(), count))


def raw_events(generated: Sequence[Generated]) -> list[RawEvent]:
    """Return events as the edge would hand them over, at the instant each is due."""
    return [RawEvent(item.value, TENANT, item.due_us) for item in generated]


def now_us() -> int:
    """Return the machine's time in microseconds."""
    return time.time_ns() // 1000
