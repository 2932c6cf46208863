"""The law the platform stands on: what is live equals what the events say, always, exactly.

Random streams over every shipped metric go through the live engine and, as events, through DuckDB.
More of them: `python -m tests.processing.laws.campaign --streams 1200`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agentflow.clock import ManualClock
from agentflow.lint import load
from processing.platform import Platform
from processing.wiring import open_platform
from quality import codes
from tests.processing.laws.campaign import PACKS, Law
from tests.processing.laws.streams import START_US, Arrive, Wait, random_stream, unaccepted

STREAMS = int(os.environ.get("AGENTFLOW_LAW_STREAMS", "20"))
AT_ONCE = 20
LONGEST = 600
SEEDS = {"corners": 1, "flights": 2, "shop": 1}
"""Of long streams, with several tenants where chance gives some."""
FIRST = int(os.environ.get("AGENTFLOW_LAW_FIRST", "0"))


@pytest.fixture(scope="module", params=sorted(PACKS))
def pack(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def law(pack: str) -> Iterator[Law]:
    law = Law(load(PACKS[pack]))
    yield law
    law.close()


def test_chance_makes_events_of_every_type(law: Law) -> None:
    """The law says nothing about metrics that no random event moves."""
    assert unaccepted(law.definitions) == set()


@pytest.mark.timeout(0)
@pytest.mark.parametrize("first", range(FIRST, FIRST + STREAMS, AT_ONCE))
def test_live_equals_recompute(law: Law, pack: str, first: int) -> None:
    """Late, early, doubled, cancelled, amended, restarted: each number is what its events say."""
    before = law.numbers

    for seed in range(first, first + AT_ONCE):
        failure = law.failure(seed)
        assert failure is None, failure.text(pack)

    assert law.numbers > before + AT_ONCE, "hardly any number was compared"


def test_the_platform_equals_its_lake(law: Law, pack: str, tmp_path: Path) -> None:
    """The same with nothing left out: bytes, log, gate, PyIceberg, Parquet, a restart half-way.

    To compare everything is nearly all it takes: one stream is as long as two, and is compared when
    all of it has arrived, half before a restart and half after it.
    """
    stream = random_stream(SEEDS[pack], law.definitions, law.metrics, longest=LONGEST)
    steps = [step for step in stream.steps if isinstance(step, Arrive | Wait)]
    assert len(steps) > LONGEST // 4, "the seed is one of a short stream"
    first, second = steps[: len(steps) // 2], steps[len(steps) // 2 :]
    clock = ManualClock(START_US)

    asyncio.run(_run(law, first, clock, tmp_path))
    different = asyncio.run(_run(law, second, clock, tmp_path, compare=True))

    assert different == [], f"seed {SEEDS[pack]} of {pack}"


async def _run(
    law: Law, steps: list[Arrive | Wait], clock: ManualClock, path: Path, *, compare: bool = False
) -> list[str]:
    platform = open_platform(
        path, law.definitions.registry, clock=clock, lake_interval=timedelta(milliseconds=20)
    )
    await platform.start()
    try:
        for step in steps:
            if isinstance(step, Wait):
                clock.advance(timedelta(microseconds=step.duration_us))
            else:
                (result,) = await platform.ingest([step.raw])
                # chance gives some events an id that another one had: nothing else is refused
                refused = {violation.code for violation in result.violations}
                assert result.status != "rejected" or refused == {codes.ID_CONFLICT}, result
        return await _differences(platform) if compare else []
    finally:
        await platform.close()


async def _differences(platform: Platform) -> list[str]:
    checks = await platform.verification.verify()
    assert sum(check.numbers for check in checks) > 0
    return [
        f"{check.cut.plan.id} {check.cut.tenant} {check.cut.window}: {check.differences}"
        for check in checks
        if not check.equal
    ]
