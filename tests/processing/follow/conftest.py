"""A platform on a stream in memory, with contracts of its own that are quick to compile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agentflow.clock import ManualClock
from agentflow.contracts import Registry
from agentflow.events import RawEvent
from agentflow.lint import load
from agentflow.timers import SystemTimers, Timers
from processing.follow.opening import StreamOptions, open_stream_platform
from processing.lake import Lake, open_lake
from processing.platform import Platform
from processing.write.results import EventResult
from tests.fakes.stream import FakeBroker

T = TypeVar("T")
NOW_US = 1_790_000_000_000_000
OpenLake = Callable[[Path, Registry], Lake]
EVENT = """
kind: event
name: thing.counted
version: 1
status: approved
owner: tests
description: A thing was counted.
key: shelf
fields:
  shelf: {type: string, required: true}
  amount: {type: integer, required: true, minimum: 0}
"""
METRIC = """
kind: metric
name: things
version: 1
status: approved
owner: tests
description: How many things there are.
unit: things
value: sum(thing.counted.amount)
moved_by: [thing.counted@1]
dimensions: [shelf]
windows: [all]
examples:
  - name: one
    given: [{thing.counted: {shelf: a, amount: 2}}]
    then: {"": 2}
"""


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return load_things(tmp_path_factory.mktemp("contracts"), METRIC)


def load_things(directory: Path, metric: str) -> Registry:
    """Write the event's contract and one of its metric; return them loaded."""
    for folder, name, text in (
        ("events", "thing.counted", EVENT),
        ("metrics", "things", metric),
    ):
        (directory / folder).mkdir()
        (directory / folder / f"{name}.v1.yaml").write_text(text.lstrip())
    return load(directory)


@pytest.fixture(scope="module")
def empty_lake(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[OpenLake]:
    """One lake for many lives in which nobody writes it: most of a start is making its tables."""
    lake = open_lake(tmp_path_factory.mktemp("lake"), registry)
    close, lake.close = lake.close, lambda: None  # type: ignore[method-assign]
    yield lambda _directory, _registry: lake
    close()


def thing(name: str, amount: int = 1, shelf: str = "a") -> bytes:
    """Return an event as it is sent."""
    document = {
        "specversion": "1.0",
        "id": name,
        "source": "/t",
        "type": "thing.counted",
        "data": {"shelf": shelf, "amount": amount},
    }
    return json.dumps(document).encode()


class Life:
    """One process of a platform on a stream; times are real, the clock of answers stands still."""

    def __init__(  # noqa: PLR0913 - each is another part of a process
        self,
        data_dir: Path,
        registry: Registry,
        broker: FakeBroker,
        *,
        backlog_events: int = 100_000,
        open_lake: OpenLake = open_lake,
        started_us: int = NOW_US,
        timers: Timers | None = None,
    ) -> None:
        self.clock = ManualClock(started_us)
        self.broker = broker
        chosen = StreamOptions(
            watch_seconds=0.02,
            look_every=timedelta(seconds=0.05),
            backlog_events=backlog_events,
            timers=timers or SystemTimers(),
        )
        self._runner = asyncio.Runner()
        self.platform: Platform = open_stream_platform(
            data_dir, registry, broker, clock=self.clock, options=chosen
        )
        self.run(self.platform.start())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def send(self, *values: bytes, tenant: str = "acme") -> list[EventResult]:
        raws = [RawEvent(value, tenant, self.clock.now_us()) for value in values]
        return self.run(self.platform.ingest(raws))

    def token_of(self, results: Sequence[EventResult]) -> str:
        return self.platform.tokens.of(results)

    def reach(self, token: str, seconds: float = 10) -> None:
        self.run(self.platform.tokens.reach(token, within=timedelta(seconds=seconds)))

    def until(self, condition: Callable[[], object], what: str, seconds: float = 10) -> None:
        """Let the loop run until *condition* holds."""

        async def wait() -> None:
            async with asyncio.timeout(seconds):
                while not condition():  # noqa: ASYNC110 - the loop itself makes it true
                    await asyncio.sleep(0.002)

        try:
            self.run(wait())
        except TimeoutError:
            pytest.fail(f"{what} did not happen; {self.platform.intake.stream}")

    def caught_up(self) -> None:
        """Wait until everything that is in the stream is visible."""
        ends = {f"{self.broker.raw_topic}/{n}": len(r) for n, r in enumerate(self.broker.raw)}

        def done() -> bool:
            self.clock.advance(timedelta(seconds=0.1))  # what does not come is asked for in time
            intake = self.platform.intake
            visible = intake.visibility.token().ends
            return intake.waiting_since_us is None and all(
                visible.get(place, 0) >= end for place, end in ends.items()
            )

        self.until(done, "catching up")

    def read(self) -> None:
        """Wait until every outcome there is in the stream is visible."""

        def done() -> bool:
            stream = self.platform.intake.stream
            return stream is not None and stream.connected and not stream.unread_events

        self.until(done, "reading")

    def value(self, tenant: str = "acme") -> int:
        platform = self.platform
        cut = platform.verification.cut(("things", 1), tenant, window="all")
        return sum(int(cell.value) for cell in cut.cells.values())  # type: ignore[arg-type]

    def status(self) -> str:
        return self.platform.health.status(self.platform.engine.plans["things", 1], "acme")

    def close(self) -> None:
        self.run(self.platform.close())
        self._runner.close()

    def kill(self) -> None:
        """End without a last snapshot, and with nothing but what is on the disk."""
        self.run(self.platform.intake.close())
        self.platform.parts.lake.close()
        self.platform.parts.close()
        self._runner.close()
