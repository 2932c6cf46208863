"""The demonstration: a seeded generator feeding the platform, and the moving table people watch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from agentflow.events import RawEvent
from ingestion.generate import Profile, paced, read_world
from processing.platform import Platform

TENANT = "default"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demonstration does.

    Attributes:
        rate: Events a second.
        seconds: How long it runs; None until it is interrupted.
    """

    seed: int
    rate: float
    seconds: float | None


class DemoReport(msgspec.Struct, frozen=True):
    """How the demonstration went; the last line of `agentflow demo --json`.

    Attributes:
        freshness_ms: Percentiles of the time from arrival to being part of every answer.
        verified: Whether every metric equals its recompute from the lake, to the last digit.
    """

    events: int
    rejected: int
    duplicates: int
    seconds: float
    freshness_ms: dict[str, float]
    numbers_compared: int
    verified: bool


async def feed(platform: Platform, contracts_dir: Path, options: DemoOptions) -> None:
    """Send generated events into *platform* at the asked rate until cancelled."""
    clock = platform.clock
    world = read_world(contracts_dir, platform.registry)
    generator = world.generator(
        seed=options.seed, start_us=clock.now_us(), profile=Profile(rate=options.rate)
    )
    async for batch in paced(generator.events(), clock=clock, sleep=asyncio.sleep):
        now_us = clock.now_us()
        await platform.ingest([RawEvent(item.value, TENANT, now_us) for item in batch])


def percentiles(latencies_us: Iterable[int]) -> dict[str, float]:
    """Return p50, p95 and p99 in milliseconds; empty when nothing was measured."""
    ordered = sorted(latencies_us)
    if not ordered:
        return {}

    def at(q: float) -> float:
        return round(ordered[min(int(q * len(ordered)), len(ordered) - 1)] / 1000, 3)

    return {"p50": at(0.50), "p95": at(0.95), "p99": at(0.99)}


async def report(platform: Platform, *, seconds: float) -> DemoReport:
    """Verify every metric against the lake and say how it went."""
    checks = await platform.verify()
    counts = platform.intake.counts
    return DemoReport(
        events=sum(counts.values()),
        rejected=counts["rejected"],
        duplicates=counts["duplicate"],
        seconds=round(seconds, 3),
        freshness_ms=percentiles(platform.intake.latencies_us),
        numbers_compared=sum(check.numbers for check in checks),
        verified=all(check.equal for check in checks),
    )


def headline(names: Sequence[str], *, most: int) -> list[str]:
    """Return the first metrics by name, without repetition, for a table of bounded height."""
    return list(islice(dict.fromkeys(names), most))
