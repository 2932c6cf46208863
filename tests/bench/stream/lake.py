"""How many events a second the lake job takes from the topic into Iceberg on S3, commits included.

All of them wait in the topic before the job starts, so nothing but the job sets the pace. It is
counted between two commits: how far the lake was when its first rows were seen, and at the end.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from agentflow.lint import load
from processing.lake import Lake
from stack.jobs import install_wheel
from stack.services import S3, Flink, IcebergRest, Kafka
from tests.bench.figures import Figure
from tests.bench.world import SCRATCH
from tests.stack.lake_world import CONTRACTS, Feed, located, opened, start_lake_job

EVENTS = 2_000_000
GOAL = 35_000
CHECKPOINT_SECONDS = 10.0
"""As it runs by default. Tables are committed one after the other while nothing is read: an
interval that is no longer than that leaves the job no time for events."""
WITHIN_SECONDS = 600.0
LOOKS_EVERY_SECONDS = 1.0


def measure(scale: float) -> Iterable[Figure]:
    """Measure the job alone, on one task manager, with broker, catalog and S3 beside it."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    registry = load(CONTRACTS)
    with (
        tempfile.TemporaryDirectory(dir=SCRATCH) as scratch,
        Kafka(without_c2=False).running(Path(scratch) / "kafka") as kafka,
        S3().running(Path(scratch) / "s3") as s3,
        IcebergRest(s3).running(Path(scratch) / "rest") as rest,
        Flink(pythonpath=(install_wheel(Path(scratch) / "platform"),), without_c2=False).running(
            Path(scratch) / "flink"
        ) as flink,
    ):
        feed = Feed(kafka, registry, prefix="bench", seed=1, keep=False)
        feed.send(max(int(EVENTS * scale), 10_000))
        lake = opened(located(rest), registry, Path(scratch) / "cache")
        start_lake_job(flink, kafka, rest, prefix="bench", checkpoint_seconds=CHECKPOINT_SECONDS)
        rate, seconds = _watched(lake, feed.ledger.validated_end)
        lake.close()
    context = {"seconds": seconds, "events": float(feed.ledger.validated_end), "tables": 17.0}
    yield Figure("lake job, topic to Iceberg", rate, GOAL, "events/s", "at_least", context)


def _watched(lake: Lake, end: int) -> tuple[float, float]:
    """Return events a second between the first commit and the last, and for how long; 0: never."""
    deadline = time.monotonic() + WITHIN_SECONDS
    first: tuple[int, float] | None = None
    while time.monotonic() < deadline:
        covered, now = lake.held().positions.validated, time.monotonic()
        if covered and first is None:
            first = (covered, now)
        if first is not None and covered >= end:
            seconds = now - first[1]
            return ((covered - first[0]) / seconds if seconds else 0.0), seconds
        time.sleep(LOOKS_EVERY_SECONDS)
    return 0.0, WITHIN_SECONDS
