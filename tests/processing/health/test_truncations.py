"""A table that was emptied at once is not counted on as if nothing had happened."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from agentflow.clock import ManualClock
from agentflow.contracts import Registry
from agentflow.events import RawEvent
from control_store.triage.port import TriageStatus
from ingestion.cdc import Refusal, Sources, documents
from ingestion.log.port import Batch
from processing.dead_letters.triage import Criteria
from processing.platform import Platform
from processing.wiring import open_platform
from serving.read.answer import Answerer
from serving.read.metric_query import MetricQuery
from serving.read.past import answer_past, span_of
from tests.ingestion.cdc.packs import load_pack
from tests.ingestion.cdc.records import Logical, change_of, render, row

NOW_US = 1_795_242_396_000_000
TENANT = "default"
_CRITERIA = Criteria(reason="cdc_truncated")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return load_pack(tmp_path_factory.mktemp("pack"))


def change(platform: Platform, logical: Logical, *, at_us: int = NOW_US) -> None:
    """Store what a change of the table becomes, as the stream does."""
    found = documents(
        change_of(render(logical, connector="postgresql")), Sources(platform.registry)
    )
    router, log = platform.definitions.router, platform.parts.log
    if isinstance(found, Refusal):
        raw = RawEvent(b"{}", TENANT, at_us)
        log.commit(Batch([raw], [router.reject(raw, found.rejected())]))
        return
    raws = [RawEvent(each, TENANT, at_us) for each in found]
    log.commit(Batch(raws, [router.route(raw, platform.judge(raw)) for raw in raws]))


def told(platform: Platform) -> Mapping[str, object]:
    """What a reader of the metric is told."""
    plan = next(each for each in platform.definitions.plans.values() if each.id[0] == "rows")
    document = Answerer(platform).answer(MetricQuery(plan, "all", {}, ()), TENANT).document
    return {
        "status": document.status,
        "events": document.events,
        "warnings": [each.code for each in document.warnings],
    }


def test_a_truncated_table_makes_its_metrics_partial_until_that_is_dealt_with(
    registry: Registry, tmp_path: Path
) -> None:
    """The rows are counted on, and it was `fresh`; also after a restart."""

    async def run() -> list[Mapping[str, object]]:
        found = []
        platform = open_platform(tmp_path, registry, clock=ManualClock(NOW_US))
        change(platform, Logical("c", 7, None, row(7)))
        await platform.start()
        found.append(told(platform))
        change(platform, Logical("t", 7, None, None, order=2))
        platform.health.truncations.refresh()
        found.append(told(platform))
        await platform.close()

        platform = open_platform(tmp_path, registry, clock=ManualClock(NOW_US))
        await platform.start()
        found.append(told(platform))
        (letter,), _ = platform.dead_letters.page(TENANT, _CRITERIA, below=None, limit=9)
        discarded = platform.dead_letters.discard(TENANT, letter.offset, who="me", note="")
        assert discarded.triage.status == TriageStatus.DISCARDED
        platform.health.truncations.refresh()
        found.append(told(platform))
        await platform.close()
        return found

    fresh = {"status": "fresh", "events": 1, "warnings": []}
    partial = {"status": "partial", "events": 1, "warnings": ["source_truncated"]}
    assert asyncio.run(run()) == [fresh, partial, partial, fresh]


def test_the_past_of_a_truncated_table_is_partial_since_the_truncation_is_known(
    registry: Registry, tmp_path: Path
) -> None:
    """A range, a series and `as_of` said `fresh`; before that instant nothing was missing."""
    hour_us = 3_600_000_000

    async def told_of(platform: Platform, *, as_of_us: int | None, grain: str | None) -> object:
        plan = next(each for each in platform.definitions.plans.values() if each.id[0] == "rows")
        query = MetricQuery(plan, "all", {}, ())
        span = span_of(
            query,
            now_us=NOW_US + hour_us,
            start_us=NOW_US - hour_us,
            end_us=NOW_US + hour_us,
            as_of_us=as_of_us,
            grain=grain,
        )
        answer = await answer_past(platform, query, TENANT, span)
        return answer.status, answer.events, [each.code for each in answer.warnings]

    async def run() -> list[object]:
        platform = open_platform(tmp_path, registry, clock=ManualClock(NOW_US))
        change(platform, Logical("c", 7, None, row(7)))
        change(platform, Logical("t", 7, None, None, order=2), at_us=NOW_US + 1)
        await platform.start()
        found = [
            await told_of(platform, as_of_us=as_of_us, grain=grain)
            for as_of_us in (None, NOW_US + 1, NOW_US)
            for grain in (None, "1h")
        ]
        await platform.close()
        return found

    partial, before = ("partial", 1, ["source_truncated"]), ("fresh", 1, [])
    assert asyncio.run(run()) == [*[partial] * 4, *[before] * 2]


def test_other_metrics_and_facts_stay_fresh(registry: Registry, tmp_path: Path) -> None:
    """A table whose rows are never taken back loses nothing by it."""

    async def run() -> list[bool]:
        platform = open_platform(tmp_path, registry, clock=ManualClock(NOW_US))
        change(platform, Logical("t", 7, None, None))
        await platform.start()
        plans = platform.definitions.plans.values()
        contract = next(each.contract for each in plans if each.id[0] == "rows")
        facts = Registry.of(
            each.model_copy(update={"write": (), "delete": (), "insert": each.write})
            for each in registry.tables.values()
        )
        other = contract.model_copy(update={"moved_by": ("something.else@1",)})
        of = platform.health.truncations.of
        theirs = Registry.of(
            each.model_copy(update={"tenant": "umbrella"}) for each in registry.tables.values()
        )
        found = [
            of(contract, registry, TENANT),
            of(contract, facts, TENANT),
            of(other, registry, TENANT),
            of(contract, theirs, TENANT),
        ]
        await platform.close()
        return [each is not None for each in found]

    assert asyncio.run(run()) == [True, False, False, False]
