"""Two days of a platform's life, in virtual time: every timer comes due, with events between.

Four times in those days an event comes, another a minute later, a third after four more, and then
nothing for almost twelve hours, at the end of which every timer is due:

    23:58 23:59 | 00:03 ········· 11:58 11:59 12:03 ········· 23:58  …  23:58
                midnight          maintenance                 maintenance
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from agentflow.clock import MICROSECOND, ManualClock, from_datetime, to_rfc3339
from agentflow.contracts import Registry
from agentflow.events import RawEvent
from agentflow.metrics.windows import parse_window
from agentflow.supervision import ended
from agentflow.timers import ManualTimers
from control_store.idempotency.port import Done, New
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.follow.opening import StreamOptions, open_stream_platform
from processing.health import components
from processing.lake import LakeWriter, Positions
from processing.lake.commit import KEPT_SNAPSHOTS
from processing.lake.maintenance import referenced
from processing.live.snapshot import SNAPSHOT_FILE
from processing.platform import Platform
from processing.wiring import open_platform
from serving.wiring import save_snapshots
from tests.fakes.stream import FakeBroker
from tests.processing.follow.conftest import METRIC, load_things, thing

START_US = from_datetime(datetime(2099, 12, 30, 23, 58, tzinfo=UTC))
"""Later than the machine's time, by which files are young: all that nobody refers to is swept."""
WINDOWS = ("5m", "1h", "24h", "today", "all")
ROUNDS = 4
PAUSES = (timedelta(minutes=1), timedelta(minutes=4), timedelta(hours=11, minutes=55))
SMALL_FILES = 3
DAYS = 3
ANSWER = Done(200, {}, b"")


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The contracts of these tests with every kind of window."""
    metric = METRIC.replace("[all]", f"[{', '.join(WINDOWS)}]")
    return load_things(tmp_path_factory.mktemp("windowed"), metric)


async def until(condition: Callable[[], object]) -> None:
    """Wait for a thread that works in real time."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a thread makes it true
            await asyncio.sleep(0.002)


async def nothing_else() -> None:
    """The platform writes its lake itself."""


@dataclass
class TwoDays:
    """A life of two days, and the ledger of what was sent in it.

    Attributes:
        waiters: How many threads wait when nothing is due.
        sleepers: How many tasks do.
        job: Does what another program does for the lake.
        ledger: When each event occurred, and its amount.
        files: Most files of a table that were there after maintenance.
    """

    platform: Platform
    timers: ManualTimers
    waiters: int
    sleepers: int
    job: Callable[[], Awaitable[object]] = nothing_else
    ledger: list[tuple[int, int]] = field(default_factory=list)
    first: bytes = b""
    letters: int = 0
    files: int = 0

    async def live(self) -> None:
        """Live them; after each event and each pause all numbers are those of the ledger."""
        supervisor = self.platform.parts.supervisor
        save = partial(save_snapshots, self.platform, every=300.0)
        saving = supervisor.task("snapshots", "live", save)
        for number in range(1, ROUNDS + 1):
            await self._send_bad(number)
            for pause in PAUSES:
                await self._send()
                await self.job()
                await self._settled()
                self.timers.advance(pause)
                await until(lambda: self.platform.parts.lake.covered == self._ends())
                self._require_numbers()
            await until(lambda: self.platform.parts.lake.maintained == number)  # noqa: B023
            await self._settled()
            self._look()
        await ended([saving])

    async def _settled(self) -> None:
        """Wait until everything waits for time: the tasks and the threads."""
        await until(lambda: self.timers.sleepers == self.sleepers)
        await until(lambda: self.timers.waiters == self.waiters)

    async def _send(self) -> None:
        """Send an event, each third of an earlier instant, and the first one once more."""
        amount, now_us = len(self.ledger) + 1, self.timers.clock.now_us()
        late = timedelta(minutes=3) if amount % 3 == 0 else timedelta()
        occurred_us = now_us - late // MICROSECOND
        document = json.loads(thing(f"t{amount}", amount)) | {"time": to_rfc3339(occurred_us)}
        value = json.dumps(document).encode()
        self.first = self.first or value
        self.ledger.append((occurred_us, amount))
        control, key = self.platform.parts.control.idempotency, f"k{amount}"
        assert control.begin("acme", key, b"", now_us=now_us) == New()
        assert await self._ingest(value, self.first) == ["accepted", "duplicate"]
        control.finish("acme", key, ANSWER, now_us=now_us)

    async def _send_bad(self, number: int) -> None:
        self.letters += 1
        assert await self._ingest(thing(f"bad{number}", -1)) == ["rejected"]

    async def _ingest(self, *values: bytes) -> list[str]:
        now_us = self.timers.clock.now_us()
        results = await self.platform.ingest([RawEvent(value, "acme", now_us) for value in values])
        await self.platform.tokens.reach(
            self.platform.tokens.of(results), within=timedelta(seconds=20)
        )
        return [each.status for each in results]

    def _ends(self) -> Positions:
        return Positions(len(self.ledger), self.letters)

    def _require_numbers(self) -> None:
        """Every window holds what the ledger says happened in it."""
        now_us = self.timers.clock.now_us()
        for name in WINDOWS:
            start_us, end_us = parse_window(name).bounds(now_us)
            cut = self.platform.verification.cut(("things", 1), "acme", window=name)
            found = sum(int(cell.value) for cell in cut.cells.values())  # type: ignore[arg-type]
            assert found == sum(n for at_us, n in self.ledger if start_us <= at_us < end_us), name

    def _look(self) -> None:
        seen = self.platform.parts.lake.seen
        assert seen is not None
        self.files = max(self.files, *(table.files for table in seen.tables))
        assert max(table.snapshots for table in seen.tables) <= KEPT_SNAPSHOTS

    def require_keys(self) -> None:
        """Keys are there for a day, and gone after it."""
        control, now_us = self.platform.parts.control.idempotency, self.timers.clock.now_us()
        assert control.expire(now_us=now_us) == 0
        assert control.begin("acme", "k1", b"other", now_us=now_us) == New()
        assert control.begin("acme", f"k{len(self.ledger)}", b"", now_us=now_us) == ANSWER


def require_all_well(life: TwoDays, runner: asyncio.Runner) -> None:
    """Nothing failed, all is proved, and nothing is left behind that nobody needs."""
    platform = life.platform
    statuses = platform.parts.supervisor.statuses()
    assert [each.failures for each in statuses] == [0] * len(statuses)
    parts = components(platform.health)
    assert {name: part.status for name, part in parts.items()} == dict.fromkeys(parts, "ok")
    assert platform.health.lake_lag().events == 0
    checks = runner.run(platform.verification.verify())
    assert [check.cut.window for check in checks] == list(WINDOWS)
    assert all(check.equal for check in checks)
    life.require_keys()
    assert life.files < DAYS * SMALL_FILES
    lake = platform.parts.reader.lake
    for table in map(lake.fresh, lake.all_names()):
        there = lake.files.older_than(table.location(), life.timers.clock.now_us())
        assert set(there) == set(referenced(table))


def test_the_embedded_platform_lives_through_every_timer(
    tmp_path: Path, windowed: Registry
) -> None:
    """Maintenance came ten minutes after each start, and nothing was written from then on."""
    timers = ManualTimers(ManualClock(START_US))
    platform = open_platform(
        tmp_path, windowed, clock=timers.clock, timers=timers, small_files=SMALL_FILES
    )
    # the lake's thread; snapshots, keys, truncations; whether history, changes and log work again
    life = TwoDays(platform, timers, waiters=1, sleepers=6)
    with asyncio.Runner() as runner:
        runner.run(platform.start())

        runner.run(life.live())

        require_all_well(life, runner)
        assert (tmp_path / SNAPSHOT_FILE).exists()
        runner.run(platform.close())


def test_a_platform_on_a_stream_lives_through_every_timer(
    tmp_path: Path, windowed: Registry
) -> None:
    """The lake of a job is maintained by whoever serves from it, while the job goes on."""
    timers = ManualTimers(ManualClock(START_US))
    options = StreamOptions(small_files=SMALL_FILES, timers=timers)
    broker = FakeBroker(windowed)
    platform = open_stream_platform(tmp_path, windowed, broker, clock=timers.clock, options=options)
    parts = platform.parts
    writer = LakeWriter(parts.reader.lake, parts.log, platform.definitions.gate)

    async def write_lake() -> None:
        ends = Positions(parts.log.end(VALIDATED), parts.log.end(DEAD_LETTERS))
        await asyncio.to_thread(writer.write_up_to, ends)

    life = TwoDays(platform, timers, waiters=2, sleepers=5, job=write_lake)
    with asyncio.Runner() as runner:
        runner.run(platform.start())

        runner.run(life.live())

        require_all_well(life, runner)
        assert (tmp_path / SNAPSHOT_FILE).exists()
        runner.run(platform.close())
