"""Two hours of a platform's life, in virtual time: every timer comes due, with events between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from agentflow.clock import ManualClock
from agentflow.contracts import Registry
from agentflow.events import RawEvent
from agentflow.supervision import Supervisor, ended
from agentflow.timers import ManualTimers
from ingestion.control.port import Done
from processing.lake import Lake, LakeFollower, Positions, lake_health, open_lake
from processing.lake.maintenance import SMALL_FILES, maintain
from processing.lake.upkeep import Upkeep
from processing.live.snapshot import SNAPSHOT_FILE
from processing.platform import Platform
from processing.wiring import open_platform
from serving.api.components import components
from serving.wiring import save_snapshots
from tests.processing.follow.conftest import NOW_US, thing

STEP = timedelta(minutes=5)
STEPS = 24
EVERY_STEPS = 2  # maintenance: ten minutes
HOUR_US = 3_600_000_000


async def until(condition: Callable[[], object]) -> None:
    """Wait for a thread that works in real time."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a thread makes it true
            await asyncio.sleep(0.002)


async def live(platform: Platform, timers: ManualTimers) -> None:
    """Live two hours: an event, five minutes, the lake at the end of the log."""
    supervisor, lake = platform.parts.supervisor, platform.parts.lake
    save = partial(save_snapshots, platform, every=STEP.total_seconds())
    saving = supervisor.task("snapshots", "live", save)
    control = platform.parts.control
    control.begin("acme", "old", b"", now_us=NOW_US - 23 * HOUR_US)
    control.finish("acme", "old", Done(200, {}, b""), now_us=NOW_US - 23 * HOUR_US)
    for step in range(1, STEPS + 1):
        await until(lambda: timers.waiters)  # the lake's thread
        now_us = timers.clock.now_us()
        await platform.ingest([RawEvent(thing(f"t{step}"), "acme", now_us)])
        await until(lambda: timers.sleepers == 3)  # snapshots, keys, truncations
        timers.advance(STEP)
        await until(lambda: lake.covered == Positions(step, 0))  # noqa: B023
        await until(lambda: lake.maintained == step // EVERY_STEPS)  # noqa: B023
    await until(lambda: timers.sleepers == 3)
    await ended([saving])


def test_the_embedded_platform_lives_through_every_timer(
    tmp_path: Path, registry: Registry
) -> None:
    """Maintenance came ten minutes after each start, and nothing was written from then on."""
    timers = ManualTimers(ManualClock(NOW_US))
    platform = open_platform(tmp_path, registry, clock=timers.clock, timers=timers)
    with asyncio.Runner() as runner:
        runner.run(platform.start())

        runner.run(live(platform, timers))

        checks = runner.run(platform.verify())
        lag = platform.lake_lag()
        parts = components(platform)
        standings = platform.parts.supervisor.standings()
        left = platform.parts.control.expire(now_us=timers.clock.now_us())
        saved = (tmp_path / SNAPSHOT_FILE).exists()
        runner.run(platform.close())
    assert [each.failures for each in standings] == [0] * len(standings)
    assert {name: part.status for name, part in parts.items()} == dict.fromkeys(parts, "ok")
    assert lag.events == 0
    assert checks
    assert all(check.equal for check in checks)
    assert (left, saved) == (0, True)


def test_a_follower_of_the_lake_lives_through_every_timer(
    tmp_path: Path, registry: Registry
) -> None:
    """The lake of a job is maintained by whoever serves from it, while the job goes on."""
    timers = ManualTimers(ManualClock(NOW_US))
    lake: Lake = open_lake(tmp_path / "lake", registry)
    supervisor = Supervisor(timers.clock, timers)
    keep = partial(
        maintain, lake, clock=timers.clock, min_files=SMALL_FILES, grace=timedelta(hours=1)
    )
    follower = LakeFollower(
        partial(lake_health, lake),
        adopt=lambda _: None,
        interval=timedelta(seconds=5),
        upkeep=Upkeep(supervisor, maintain=keep),
        supervisor=supervisor,
    )
    follower.start()

    async def follow() -> None:
        for step in range(1, STEPS + 1):
            await until(lambda: timers.waiters)
            timers.advance(STEP)
            await until(lambda: follower.maintained == step // EVERY_STEPS)  # noqa: B023

    asyncio.run(follow())
    follower.close()
    lake.close()

    assert [each.failures for each in supervisor.standings()] == [0, 0, 0]
    assert follower.seen is not None
    assert follower.seen.positions == Positions()
