"""The embedded pipeline without HTTP, in processor time: what one core can take.

The pure part is everything between the bytes and the metrics: decode, judge, enrich, identify,
deduplicate, move every metric of the shop. Every metric is brought up to date in all its windows
each `READ_EVERY` events (five times a second at the goal), so what an event only defers is paid for
here too.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from agentflow.clock import ManualClock
from agentflow.events import Event, RawEvent
from agentflow.supervision import Supervisor
from ingestion.log.opening import open_log
from processing.definitions import Definitions
from processing.live import LiveEngine
from processing.live.corrections import NoGroupLog
from processing.live.groups import LoggedGroups
from processing.write.change_feed import ChangeFeed
from processing.write.intake import Intake
from processing.write.port import IntakeDependencies
from quality.verdict import Accepted
from serving.wiring import tune_runtime
from tests.bench.figures import Figure
from tests.bench.world import SCRATCH, TENANT, raw_events, shop, stream

EVENTS = 300_000
LOGGED_EVENTS = 100_000
RATE = 10_000
BATCH = 1_000
READ_EVERY = 20_000
ROUNDS = 3
START_US = 1_795_252_800_000_000


def measure(scale: float) -> Iterable[Figure]:
    """Measure both: without any disk, and with the log that makes it durable."""
    tune_runtime()
    definitions = Definitions.compile(shop())
    count = max(int(EVENTS * scale), 2 * BATCH)
    raws = raw_events(stream(definitions.registry, count, rate=RATE, start_us=START_US))
    gc.collect()
    gc.freeze()
    rounds = [_pure(definitions, raws) for _ in range(ROUNDS if scale >= 1 else 1)]
    best = min(rounds, key=lambda stages: sum(stages.values()))
    yield Figure(
        "embedded pipeline, one core",
        len(raws) / sum(best.values()),
        100_000,
        "events/s of CPU",
        "at_least",
        {
            "events": float(len(raws)),
            "metrics": float(len(definitions.plans)),
            "read_every_events": float(READ_EVERY),
            **{f"{stage}_us": seconds / len(raws) * 1e6 for stage, seconds in best.items()},
            "worst_round": len(raws) / max(sum(stages.values()) for stages in rounds),
        },
    )
    logged = raws[: max(int(LOGGED_EVENTS * scale), 2 * BATCH)]
    wall, cpu = asyncio.run(_logged(definitions, logged))
    yield Figure(
        "embedded pipeline with its log",
        len(logged) / wall,
        20_000,
        "events/s",
        "at_least",
        {"events": float(len(logged)), "per_cpu_second": len(logged) / cpu, "in_flight": 4.0},
    )


def _pure(definitions: Definitions, raws: Sequence[RawEvent]) -> dict[str, float]:
    """Return the seconds of processor time of each stage."""
    clock = time.process_time
    spent = dict.fromkeys(("judge", "deduplicate", "move", "read"), 0.0)
    corrections = definitions.corrections(NoGroupLog())
    engine = LiveEngine(list(definitions.plans.values()), corrections=corrections, now_us=START_US)
    judge = definitions.gate.judge
    known: set[bytes] = set()
    offset = 0
    for start in range(0, len(raws), BATCH):
        batch = raws[start : start + BATCH]
        begun = clock()
        verdicts = [judge(raw) for raw in batch]
        judged = clock()
        events: list[tuple[int, Event]] = []
        for verdict in verdicts:
            if isinstance(verdict, Accepted) and verdict.identity not in known:
                known.add(verdict.identity)
                events.append((offset, verdict.event))
                offset += 1
        told_apart = clock()
        engine.apply(events, now_us=batch[-1].received_us)
        moved = clock()
        if (start + BATCH) % READ_EVERY == 0:
            for metric in engine.plans:
                engine.read(metric, TENANT, now_us=batch[-1].received_us)
        spent["judge"] += judged - begun
        spent["deduplicate"] += told_apart - judged
        spent["move"] += moved - told_apart
        spent["read"] += clock() - moved
    return spent


async def _logged(definitions: Definitions, raws: Sequence[RawEvent]) -> tuple[float, float]:
    """Return wall and processor seconds of the whole intake, four requests under way."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as directory:
        log = open_log(Path(directory) / "log.sqlite").log
        corrections = definitions.corrections(LoggedGroups(log, definitions.gate))
        engine = LiveEngine(
            list(definitions.plans.values()), corrections=corrections, now_us=START_US
        )
        supervisor = Supervisor(ManualClock(raws[-1].received_us))
        intake = Intake(
            IntakeDependencies(
                definitions,
                engine,
                log,
                ChangeFeed(supervisor.activity("change-feed", "live")),
                supervisor.clock,
                supervisor,
                lost=lambda _: None,
            )
        )
        starts = iter(range(0, len(raws), BATCH))

        async def sender() -> None:
            for start in starts:
                await intake.ingest(raws[start : start + BATCH])

        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(sender() for _ in range(4)))
        for metric in engine.plans:
            engine.read(metric, TENANT, now_us=raws[-1].received_us)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        await intake.close()
        log.close()
    return wall, cpu
