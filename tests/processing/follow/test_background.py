"""Kill anything that runs in the background: it is named, it comes back, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Condition, current_thread
from typing import Any, NoReturn

import pytest

from agentflow.clock import ManualClock
from agentflow.contracts import Registry
from agentflow.errors import AgentFlowError
from agentflow.events import RawEvent
from agentflow.supervision import ActivityStatus
from agentflow.timers import SystemTimers
from ingestion.kafka.producer import KafkaProducer
from processing.health import components
from processing.lake import Positions
from processing.platform import Platform
from processing.wiring import open_platform
from serving.wiring import save_snapshots
from tests.fakes.stream import ProducingBroker
from tests.processing.follow.conftest import NOW_US, Life, OpenLake, thing

FAILURES = [
    ValueError("Could not find field with name log_offset"),
    SystemExit(1),
    asyncio.CancelledError(),
]
_TURN_SECONDS = 0.02
NAMED_WITHIN_US = 1_000_000


class Saboteur(SystemTimers):
    """Timers that kill the thread or task which waits next, by its name; waits are short.

    Attributes:
        struck: Whether something was killed since this was last set back.
    """

    def __init__(self) -> None:
        self.armed: dict[str, BaseException] = {}
        self.struck = False

    def _strike(self, name: str) -> None:
        if (failure := self.armed.pop(name, None)) is not None:
            self.kill(failure)

    def kill(self, failure: BaseException) -> NoReturn:
        self.struck = True
        raise failure

    def wait(self, condition: Condition, until: float | None) -> None:
        self._strike(current_thread().name)
        soon = self.seconds() + _TURN_SECONDS
        super().wait(condition, soon if until is None else min(soon, until))

    async def sleep(self, seconds: float) -> None:
        task, due = asyncio.current_task(), self.seconds() + seconds
        while (left := due - self.seconds()) > 0:
            if task is not None:
                self._strike(task.get_name())
            await super().sleep(min(left, _TURN_SECONDS))


class Embedded(Life):
    """A platform that is one process, with the questions that a follower is asked."""

    def __init__(self, data_dir: Path, registry: Registry, timers: Saboteur) -> None:
        self.clock = ManualClock(NOW_US)
        self._runner = asyncio.Runner()
        self.platform = open_platform(
            data_dir,
            registry,
            clock=self.clock,
            lake_interval=timedelta(seconds=0.05),
            timers=timers,
        )
        self.run(self.platform.start())


Kill = Callable[[Platform, Saboteur, BaseException], None]


def waiting(name: str) -> Kill:
    """Kill what waits with timers."""

    def kill(_: Platform, timers: Saboteur, failure: BaseException) -> None:
        timers.armed[name] = failure

    return kill


def calling(find: Callable[[Platform], tuple[Any, str]], *, half: bool = False) -> Kill:
    """Kill what calls a method, before it has any effect, or after *half* of it."""

    def kill(platform: Platform, timers: Saboteur, failure: BaseException) -> None:
        owner, name = find(platform)
        method = getattr(owner, name)

        def fail(*arguments: object, **named: object) -> object:
            setattr(owner, name, method)
            if half:
                method(*arguments, **named)
            timers.kill(failure)

        setattr(owner, name, fail)

    return kill


def maintenance(platform: Platform, timers: Saboteur, failure: BaseException) -> None:
    """Kill maintenance, which is due now."""
    housekeeping = platform.parts.lake._housekeeping  # type: ignore[attr-defined]  # noqa: SLF001
    seldom, maintain = housekeeping._every_seconds, housekeeping._maintain  # noqa: SLF001

    def then_seldom() -> None:
        housekeeping._every_seconds = seldom  # noqa: SLF001
        maintain()

    housekeeping._maintain = then_seldom  # noqa: SLF001
    calling(lambda _: (housekeeping, "_maintain"))(platform, timers, failure)
    housekeeping._every_seconds = 0.01  # noqa: SLF001


def subscriber(platform: Platform, timers: Saboteur, failure: BaseException) -> None:
    """Kill what follows the change feed."""

    def fail(_: object) -> None:
        leave()
        timers.kill(failure)

    leave = platform.changes.subscribe(fail)


def rebuilding(platform: Platform, timers: Saboteur, failure: BaseException) -> None:
    """Kill live state, and then what repairs it."""
    engine(platform, timers, ValueError("half a batch"))
    calling(lambda platform: (platform._state, "rebuild"))(platform, timers, failure)  # noqa: SLF001


class Poisoned:
    """The driver of the producer, whose thread dies when it next waits for the broker."""

    def __init__(self, producer: KafkaProducer, kill: Callable[[], NoReturn]) -> None:
        self._producer, self._kill, self._client = producer, kill, producer._client  # noqa: SLF001

    def poll(self, _: float) -> NoReturn:
        self._producer._client = self._client  # noqa: SLF001
        self._kill()

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)


def producer(platform: Platform, timers: Saboteur, failure: BaseException) -> None:
    """Kill the thread of the Kafka producer."""
    found = platform.intake._ends.sender.producer  # type: ignore[attr-defined]  # noqa: SLF001
    found._client = Poisoned(found, partial(timers.kill, failure))  # noqa: SLF001


engine = calling(lambda platform: (platform.engine, "apply"), half=True)
COMMON: Mapping[str, Kill] = {
    "change-feed": subscriber,
    "idempotency-expiry": waiting("idempotency-expiry"),
    "lake-maintenance": maintenance,
    "live-engine": engine,
    "live-rebuild": rebuilding,
    "snapshots": waiting("snapshots"),
    "history-retry": waiting("history-retry"),
    "change-feed-retry": waiting("change-feed-retry"),
    "truncations": waiting("truncations"),
}
EMBEDDED: Mapping[str, Kill] = COMMON | {
    "lake-look": calling(lambda platform: (platform.parts.lake._housekeeping, "_look")),  # type: ignore[attr-defined]  # noqa: SLF001
    "lake-writer": waiting("lake-writer"),
    "log-retry": waiting("log-retry"),
    "log-writer": calling(lambda platform: (platform.parts.log, "commit")),
}
STREAM: Mapping[str, Kill] = COMMON | {
    "kafka-producer": producer,
    "lake-follower": waiting("lake-follower"),
    "stream-follower": calling(lambda platform: (platform.intake._follower._stream, "poll")),  # type: ignore[attr-defined]  # noqa: SLF001
    "stream-lag": calling(lambda platform: (platform.intake, "_heard")),
    "stream-watcher": waiting("stream-watcher"),
}
ELSEWHERE = {"control-store", "history", "lake-look"}
"""Proved by `tests/serving/api/test_health.py`; a follower's look is its own turn."""


class Victim:
    """A platform whose parts are killed one after another, with events all the while."""

    def __init__(self, life: Life, timers: Saboteur, failure: BaseException) -> None:
        self._life, self._timers, self._failure = life, timers, failure
        self._platform = life.platform
        self._sending: asyncio.Task[bool] | None = None
        self.counted = 0

    def statuses(self) -> Mapping[str, ActivityStatus]:
        return {each.name: each for each in self._platform.parts.supervisor.statuses()}

    async def survive(self, kills: Mapping[str, Kill]) -> None:
        """Kill each; see that it is named, comes back, and that the next event counts."""
        platform = self._platform
        for name, kill in kills.items():
            before = self.statuses()[name]
            self._timers.struck = False
            kill(platform, self._timers, self._failure)
            async with asyncio.timeout(20):
                while not self._timers.struck:
                    await self._turn()
                struck_us = self._life.clock.now_us()
                while not self._shown(before):
                    await self._turn()
                shown_us = self._life.clock.now_us()
                while not platform.ready or self.statuses()[name].state == "failing":
                    await self._turn()
                while not await self._sent():
                    pass
            self.counted += 1

            assert shown_us - struck_us <= NAMED_WITHIN_US
            self._life.clock.advance(timedelta(seconds=10))
            assert self.statuses()[name].state == "well"
        assert set(self.statuses()) == set(kills) | ELSEWHERE

    def _shown(self, before: ActivityStatus) -> bool:
        """Tell whether health names it with its failure, and does not say that all is well."""
        now = self.statuses()[before.name]
        part = components(self._platform.health)[before.part]
        return now.failures > before.failures and part.status != "ok" and now.detail in part.detail

    async def _turn(self) -> None:
        """Let a fiftieth of a second pass, on the clock too, with an event on its way."""
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        done, _ = await asyncio.wait([self._sending], timeout=_TURN_SECONDS)
        if done:
            self._sending = None
        self._life.clock.advance(timedelta(seconds=_TURN_SECONDS))

    async def _sent(self) -> bool:
        """Tell whether the event on its way was taken, or else the next one."""
        sending, self._sending = self._sending, None
        return await (self._send() if sending is None else sending)

    async def _send(self) -> bool:
        """Send the next event; one that is refused says so, and is sent again."""
        now_us = self._life.clock.now_us()
        try:
            sent = await self._platform.ingest(
                [RawEvent(thing(f"t{self.counted}"), "acme", now_us)]
            )
        except (AgentFlowError, ValueError, type(self._failure)):
            await asyncio.sleep(_TURN_SECONDS)
            return False
        await asyncio.sleep(_TURN_SECONDS)
        return sent[0].status != "rejected"


@pytest.mark.parametrize("failure", FAILURES, ids=lambda each: type(each).__name__)
def test_whatever_dies_in_one_process_comes_back_and_nothing_is_lost(
    tmp_path: Path, registry: Registry, failure: BaseException
) -> None:
    """The lake's thread once died of a ValueError, and all was said to be well from then on."""
    timers = Saboteur()
    life = Embedded(tmp_path, registry, timers)
    saving = life.run(supervised_snapshots(life.platform))

    victim = Victim(life, timers, failure)
    life.run(victim.survive(EMBEDDED))

    end = life.platform.parts.log.end("validated")
    covered = life.platform.parts.lake.flush(Positions(end, 0), timeout=timedelta(seconds=20))
    checks = life.run(life.platform.verification.verify())
    saving.cancel()
    life.close()
    assert (end, covered) == (victim.counted, True)
    assert checks
    assert all(check.equal for check in checks)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda each: type(each).__name__)
def test_whatever_dies_beside_a_stream_comes_back_and_nothing_is_lost(
    tmp_path: Path, registry: Registry, empty_lake: OpenLake, failure: BaseException
) -> None:
    """A follower that ended once needed a restart, and the numbers stood still until then."""
    timers = Saboteur()
    broker = ProducingBroker(registry)
    life = Life(tmp_path, registry, broker, open_lake=empty_lake, timers=timers)
    saving = life.run(supervised_snapshots(life.platform))

    victim = Victim(life, timers, failure)
    life.run(victim.survive(STREAM))

    life.caught_up()
    value = life.value()
    saving.cancel()
    life.close()
    assert value == victim.counted


async def supervised_snapshots(platform: Platform) -> asyncio.Task[None]:
    """Start what saves the live state while the platform serves."""
    save = partial(save_snapshots, platform, every=0.01)
    return platform.parts.supervisor.task("snapshots", "live", save)
