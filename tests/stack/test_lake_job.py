"""The lake that Flink writes is the ledger, by id, whenever it is looked at and whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from agentflow.contracts import Registry
from agentflow.errors import StorageError
from agentflow.lint import load
from agentflow.metrics.plan import plan_metric
from agentflow.metrics.sql import QuerySpec
from ingestion.log.port import VALIDATED
from processing.history import History, MetricRow
from processing.lake import (
    Lake,
    LakeReader,
    LakeWriter,
    Positions,
    compact,
    lake_health,
    open_lake,
    remove_repeats,
)
from processing.lake.catalog import DEAD_LETTER_TABLE
from stack.errors import StackError
from stack.jobs import cancel, last_checkpoint
from stack.services import S3, Flink, IcebergRest, Kafka
from tests.stack.lake_world import (
    CONTRACTS,
    Feed,
    everything,
    letters,
    located,
    opened,
    require_honest,
    start_lake_job,
    until,
)

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(900)]

PREFIX = "lakejob"
EVERYTHING = QuerySpec(tenant="default", start_us=None, end_us=None)


class World:
    """Kafka, S3, the catalog and Flink; a feed, and the lake the job makes of it."""

    def __init__(self, directory: Path, kafka: Kafka, rest: IcebergRest) -> None:
        self.registry: Registry = load(CONTRACTS)
        self.feed = Feed(kafka, self.registry, prefix=PREFIX, seed=15)
        self.gate = self.feed.gate  # events of two gates are never equal: their types are made
        self.rest = rest
        self.lake: Lake = opened(located(rest), self.registry, directory / "cache")
        self.reader = LakeReader(self.lake, self.gate)
        self._kafka = kafka
        self.stop: Callable[[], None] = _nothing

    def submit(self, flink: Flink, *, since: str | None = None) -> str:
        job = start_lake_job(
            flink, self._kafka, self.rest, prefix=PREFIX, checkpoint_seconds=1, since=since
        )
        self.stop = partial(cancel, flink, job)
        return job

    def settle(self) -> None:
        """Wait until all that was sent is covered, being honest all the way, and stored once."""
        self.cover()
        assert everything(self.lake) == sorted(self.feed.ledger.events)
        assert letters(self.lake) == sorted(self.feed.ledger.letters)

    def cover(self) -> None:
        """Wait until all that was sent is covered, being honest all the way."""
        ledger = self.feed.ledger
        ends = Positions(ledger.validated_end, ledger.letters_end)

        def covered() -> bool:
            require_honest(self.reader, ledger)
            return self.reader.positions().reaches(ends)

        until(covered, within=240)

    def numbers(self, reader: LakeReader) -> list[list[MetricRow]]:
        """Return every metric as it is computed from a lake alone."""
        history = History(reader, self.feed.log, gate=self.gate, registry=self.registry)
        events = self.registry.events
        plans = [plan_metric(each, events=events) for each in self.registry.metrics.values()]
        answers = [history.answer(plan, EVERYTHING, tail=False) for plan in plans]
        history.close()
        return answers

    @contextmanager
    def zombie(self, flink: Flink, log: Path) -> Iterator[None]:
        """Run the job once more, from the first record, on a cluster that knows of no other."""
        named = ("--kafka-bootstrap", self._kafka.bootstrap, "--kafka-prefix", PREFIX)
        options = ("--contracts-dir", str(CONTRACTS), "--checkpoint-interval", "1", *named)
        environment = {**os.environ, **flink.client_environment, **self.rest.platform_settings}
        with log.open("wb") as said:
            job = subprocess.Popen(
                [flink.python, "-m", "processing.flink", "lake", *options],
                env=environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            try:
                yield
            finally:
                os.killpg(job.pid, signal.SIGKILL)
                job.wait(timeout=30)


def _nothing() -> None:
    """Stand in for the end of a job that was never started."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, kafka: Kafka) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("lake")
    with S3().running(directory / "s3") as s3, IcebergRest(s3).running(directory / "rest") as rest:
        made = World(directory, kafka, rest)
        yield made
        made.stop()  # it would try for ever to reach what ends here
        made.lake.close()


def test_the_lake_is_the_ledger_whoever_is_killed(world: World, flink: Flink) -> None:
    """Workers, then the coordinator, which comes back from the last checkpoint; a zombie beside."""
    world.feed.send(1_500)
    first = world.submit(flink)
    world.settle()

    world.feed.send(1_500)
    flink.taskmanager.kill()
    flink.taskmanager.start()
    flink.wait_ready()
    world.feed.send(500)
    world.settle()

    world.feed.send(500)
    flink.jobmanager.kill()
    flink.taskmanager.kill()
    flink.restart()
    world.submit(flink, since=last_checkpoint(flink, first))
    world.feed.send(500)
    world.settle()

    with pytest.raises(StackError, match="runs already"):
        world.submit(flink)

    # merged by PyIceberg while Java writes, and read by both afterwards
    for ref in world.lake.layouts:
        compact(world.lake, world.lake.name(ref), min_files=2)
    world.feed.send(300)
    world.settle()


@pytest.mark.campaign
def test_a_second_job_beside_the_first_is_said_and_doubles_nothing(
    world: World, flink: Flink, tmp_path: Path
) -> None:
    """After a network was split: both write every row, each is read once, and taken out later."""
    world.feed.send(1_500)
    if world.stop is _nothing:
        world.submit(flink)
    ledger = world.feed.ledger
    with world.zombie(flink, tmp_path / "zombie.log"):

        def rivals() -> bool:
            world.feed.send(5)
            require_honest(world.reader, ledger)
            return len(lake_health(world.lake).rivals) > 1

        until(rivals, within=240)
        world.cover()
    doubled = len(everything(world.lake)) - len(ledger.events)
    read_doubled = world.numbers(world.reader)

    names = [*map(world.lake.name, world.lake.layouts), DEAD_LETTER_TABLE]
    removed = sum(remove_repeats(world.lake, name) for name in names)

    assert removed >= doubled > 0
    assert world.numbers(world.reader) == read_doubled
    world.feed.send(300)
    world.settle()


def test_every_metric_is_the_same_from_either_lake(world: World, tmp_path: Path) -> None:
    """Java on S3 or PyIceberg in a folder: a recompute may not tell which lake it reads."""
    log = world.feed.log
    folder = open_lake(tmp_path / "lake", world.registry)
    writer = LakeWriter(folder, log, world.gate)
    writer.write_up_to(Positions(log.end(VALIDATED), 0))

    from_java = world.numbers(world.reader)
    from_python = world.numbers(LakeReader(folder, world.gate))

    assert from_java == from_python
    assert sum(row.events for rows in from_java for row in rows) > 1_000
    folder.close()


def test_a_catalog_that_is_down_is_said_and_got_over(world: World) -> None:
    """Neither an old answer nor a hang: a named failure, and everything again once it is back."""
    world.rest.kill()

    with pytest.raises(StorageError, match="catalog does not answer"):
        world.reader.positions()

    world.rest.restart()
    world.feed.send(200)
    world.settle()
