"""A refused change of a database is read again as a change, as its hint promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from agentflow.clock import ManualClock
from agentflow.contracts import Registry
from agentflow.errors import NotFoundError
from agentflow.events import RawEvent
from control_store.triage.port import TriageStatus
from ingestion.cdc import Refusal, Sources, documents
from ingestion.log.plan import dead_letter_record
from ingestion.log.port import DEAD_LETTERS, RAW, NewRecord
from processing.dead_letters.triage import Criteria, Fix
from processing.platform import Platform
from processing.wiring import open_platform
from tests.ingestion.cdc.packs import load_pack
from tests.ingestion.cdc.records import Logical, change_of, render, row

NOW_US = 1_795_242_396_000_000
TENANT = "default"
WELL = row(7)
ILL = row(7, paid=2)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return load_pack(tmp_path_factory.mktemp("pack"))


@asynccontextmanager
async def running(registry: Registry, directory: Path) -> AsyncIterator[Platform]:
    platform = open_platform(directory, registry, clock=ManualClock(NOW_US))
    await platform.start()
    try:
        yield platform
    finally:
        await platform.close()


def refused(platform: Platform, held: object) -> None:
    """Store a change as a job does that may not read it; its raw record is in a topic elsewhere."""
    record = render(Logical("c", 7, None, held), connector="postgresql")  # type: ignore[arg-type]
    found = documents(
        change_of(render(Logical("c", 7, None, ILL), connector="postgresql")),
        Sources(platform.registry),
    )
    assert isinstance(found, Refusal)
    raw = RawEvent(record.value or b"", TENANT, NOW_US)
    place = {"raw_topic": record.topic, "raw_partition": "0", "raw_offset": "0"}
    refusal = platform.definitions.router.reject(raw, found.rejected())
    letter = dead_letter_record(raw, refusal, place)
    platform.parts.log.append(RAW, [NewRecord(None, b'{"another": "record"}', {}, NOW_US)])
    platform.parts.log.append(DEAD_LETTERS, [letter])


def rows_counted(platform: Platform) -> int:
    (plan,) = (each for each in platform.definitions.plans.values() if each.id[0] == "rows")
    cut = platform.verification.cut(plan.id, TENANT, window="all")
    return sum(cell.events for cell in cut.cells.values())


def test_a_dead_letter_of_another_tenant_does_not_exist(registry: Registry, tmp_path: Path) -> None:
    """Where offsets are the log's own, a number that is guessed must lead nowhere."""

    async def run() -> None:
        async with running(registry, tmp_path) as platform:
            refused(platform, ILL)
            letters = platform.dead_letters
            assert letters.get(TENANT, 0).letter.raw is not None
            with pytest.raises(NotFoundError, match="dead letter 0 does not exist"):
                letters.get("other", 0)
            with pytest.raises(NotFoundError):
                await letters.replay("other", 0, who="me")

    asyncio.run(run())


def test_a_change_is_replayed_once_contract_and_table_agree(
    registry: Registry, tmp_path: Path
) -> None:
    """Judged as an event it would be refused for having no type, whatever the contract says."""

    async def run() -> tuple[str, int, TriageStatus]:
        async with running(registry, tmp_path) as platform:
            refused(platform, WELL)
            result = await platform.dead_letters.replay(TENANT, 0, who="me")
            status = platform.dead_letters.get(TENANT, 0).triage.status
            return result.status, rows_counted(platform), status

    assert asyncio.run(run()) == ("accepted", 1, TriageStatus.REPLAYED)


def test_a_change_that_still_misfits_is_refused_for_its_own_reason(
    registry: Registry, tmp_path: Path
) -> None:
    """And makes no second dead letter; mended by hand it is taken, as a change or as an event."""

    async def run() -> tuple[list[str], list[str], int, int]:
        async with running(registry, tmp_path) as platform:
            letters = platform.dead_letters
            refused(platform, ILL)
            again = await letters.replay(TENANT, 0, who="me")
            held = msgspec.json.decode(letters.get(TENANT, 0).letter.raw or "")
            after = "/payload/after/paid" if "payload" in held else "/after/paid"
            mended = await letters.fix(TENANT, 0, Fix(changes={after: True}), who="me")
            page, _ = letters.page(TENANT, Criteria(), below=None, limit=9)
            statuses = [again.status, mended.status]
            codes = [each.code for each in again.violations]
            return statuses, codes, len(page), rows_counted(platform)

    statuses, codes, letters, rows = asyncio.run(run())
    assert (statuses, codes) == (["rejected", "accepted"], ["cdc_schema_mismatch"])
    assert (letters, rows) == (1, 1)
