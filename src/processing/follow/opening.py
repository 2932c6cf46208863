"""Builds the platform that serves from a stream: replica, follower, and the lake a job writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from agentflow.clock import Clock
from agentflow.contracts import Registry
from agentflow.supervision import Supervisor
from agentflow.timers import SystemTimers, Timers
from ingestion.control.opening import open_control
from ingestion.log.lock import DataDirectoryLock
from ingestion.log.private import make_private
from processing.definitions import Definitions
from processing.follow.bridge import bridge
from processing.follow.follower import Followed, Follower
from processing.follow.intake import StreamEnds, StreamIntake
from processing.follow.lag import Pressure
from processing.follow.port import Ends, RawSender, Stream
from processing.follow.replica import Replica, Source, open_replica
from processing.follow.watcher import Watcher
from processing.history import History
from processing.lake import Lake, LakeFollower, LakeReader, lake_health, open_lake
from processing.lake.maintenance import REMOTE_GRACE, SMALL_FILES, maintain
from processing.lake.upkeep import Upkeep
from processing.platform import Parts, Platform
from processing.recovery.opening import control_recovery
from processing.runtime.memory import give_back
from processing.write.port import EventIntake, Surroundings

log = structlog.get_logger()

LOOK_EVERY = timedelta(seconds=5)


class Broker(Source, Protocol):
    """Everything that is needed of a stream; made for one platform."""

    @property
    def name(self) -> str:
        """What it is called in messages: `Kafka`, `Redis`."""
        ...

    @property
    def raw_topic(self) -> str:
        """The broker's name of the raw topic."""
        ...

    def stream(self, lost: Callable[[], None]) -> Stream:
        """Return a reader; *lost* is called, in any thread, when every broker is gone."""
        ...

    def sender(self, supervisor: Supervisor) -> RawSender:
        """Return what appends to the raw topic."""
        ...


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What a deployment decides about serving from a stream.

    Attributes:
        backlog_events: Intake answers 429 while more events wait to become visible.
        watch_seconds: How often lag is measured.
        look_every: How often the lake is looked at.
        open_lake: Opens the lake that a job writes; that in the data directory unless told.
        small_files: So many small files of a day are merged.
        timers: What the background waits with.
    """

    backlog_events: int = 100_000
    watch_seconds: float = 1.0
    look_every: timedelta = LOOK_EVERY
    open_lake: Callable[[Registry], Lake] | None = None
    small_files: int = SMALL_FILES
    timers: Timers = field(default_factory=SystemTimers)


def open_stream_platform(
    data_dir: Path, registry: Registry, broker: Broker, *, clock: Clock, options: StreamOptions
) -> Platform:
    """Open or create the replica under *data_dir*; call `Platform.start` next.

    Raises:
        DataDirectoryLockedError: Another process runs on that directory.
        UnavailableError: Nobody answers, and there is no replica to serve from.
        StorageError: A file can neither be opened nor replaced.
        ContractError: The contracts do not compile, or do not fit what the lake holds.
    """
    definitions = Definitions.compile(registry)
    make_private(data_dir)
    lock = DataDirectoryLock(data_dir)
    lock.acquire()
    try:
        return _open(data_dir, definitions, broker, lock, clock=clock, options=options)
    except BaseException:
        lock.release()
        raise


def _open(
    data_dir: Path,
    definitions: Definitions,
    broker: Broker,
    lock: DataDirectoryLock,
    *,
    clock: Clock,
    options: StreamOptions,
) -> Platform:
    registry, gate = definitions.registry, definitions.gate
    supervisor = Supervisor(clock, options.timers)
    control = open_control(
        data_dir / "control.sqlite", supervisor.activity("control-store", "control")
    )
    in_directory = partial(open_lake, (data_dir / "lake").absolute())
    lake = (options.open_lake or in_directory)(registry)
    reader = LakeReader(lake, gate)
    replica = open_replica(data_dir, broker, reader, registry, gate)
    recoveries = [*replica.recoveries, *control_recovery(control.report)]
    for recovery in recoveries:
        log.error("storage.recovered", component=recovery.component, detail=recovery.detail)
    history = History(
        reader,
        replica.log,
        gate=gate,
        registry=registry,
        activity=supervisor.activity("history", "history"),
    )

    def take_from_lake() -> None:
        recoveries.extend(bridge(replica.log, broker, reader, registry, gate))

    def keep_small() -> None:
        maintain(lake, clock=clock, min_files=options.small_files, grace=REMOTE_GRACE)
        give_back()

    def close() -> None:
        history.close()
        lake.close()
        replica.log.close()
        control.store.close()
        lock.release()

    parts = Parts(
        data_dir=data_dir,
        log=replica.log,
        control=control.store,
        reader=reader,
        lake=LakeFollower(
            partial(lake_health, lake),
            adopt=lake.adopt,
            interval=options.look_every,
            upkeep=Upkeep(supervisor, maintain=keep_small),
            supervisor=supervisor,
        ),
        history=history,
        close=close,
        recoveries=recoveries,
        supervisor=supervisor,
        intake=_Intake(broker, replica, options, take_from_lake),
    )
    return Platform(definitions, parts, clock=clock)


class _Bell:
    """Tells the watcher that the broker is gone; the stream exists before it does."""

    watcher: Watcher | None = None

    def ring(self) -> None:
        if self.watcher is not None:
            self.watcher.alarm()


@dataclass(frozen=True, slots=True)
class _Intake:
    """Builds the intake, once the platform has an engine for it."""

    broker: Broker
    replica: Replica
    options: StreamOptions
    bridge: Callable[[], None]

    def __call__(self, around: Surroundings) -> EventIntake:
        bell = _Bell()
        stream = self.broker.stream(bell.ring)

        def follow(apply: Callable[[Followed], None]) -> Follower:
            return Follower(
                stream,
                self.replica.log,
                stand=self.replica.stand,
                apply=apply,
                bridge=self.bridge,
                supervisor=around.supervisor,
            )

        def watch(heard: Callable[[Ends, int], None], lost: Callable[[int], None]) -> Watcher:
            watcher = Watcher(
                stream.ends,
                heard=heard,
                lost=lost,
                clock=around.clock,
                interval_seconds=self.options.watch_seconds,
                supervisor=around.supervisor,
            )
            bell.watcher = watcher
            return watcher

        ends = StreamEnds(
            broker=self.broker.name,
            raw_topic=self.broker.raw_topic,
            sender=self.broker.sender(around.supervisor),
            replica=self.replica.log,
            settled=self.replica.settled,
            follow=follow,
            watch=watch,
        )
        return StreamIntake(around, ends, pressure=Pressure(self.options.backlog_events))
