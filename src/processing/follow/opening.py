"""Builds the platform that serves from a stream: replica, follower, and the lake a job writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

from agentflow.clock import Clock
from agentflow.contracts import Registry
from agentflow.timers import SystemTimers, Timers
from control_store.opened import OpenControl
from control_store.wiring import in_file
from ingestion.stream.port import Broker, TopicEnds
from processing.follow.bridge import bridge
from processing.follow.follower import Followed, Follower
from processing.follow.intake import StreamEnds, StreamIntake
from processing.follow.lag import Pressure
from processing.follow.replica import Replica, open_replica
from processing.follow.watcher import EndsWatcher
from processing.lake import Lake, LakeFollower, LakeReader, lake_health, open_lake
from processing.lake.housekeeping import Housekeeping
from processing.lake.maintenance import REMOTE_GRACE, SMALL_FILES
from processing.platform import Platform
from processing.wiring import Site, Storage, assemble, noted
from processing.write.port import EventIntake, IntakeDependencies

LOOK_EVERY = timedelta(seconds=5)


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
        open_control: Opens the control store.
    """

    backlog_events: int = 100_000
    watch_seconds: float = 1.0
    look_every: timedelta = LOOK_EVERY
    open_lake: Callable[[Registry], Lake] | None = None
    small_files: int = SMALL_FILES
    timers: Timers = field(default_factory=SystemTimers)
    open_control: OpenControl = in_file


def open_stream_platform(
    data_dir: Path, registry: Registry, broker: Broker, *, clock: Clock, options: StreamOptions
) -> Platform:
    """Open or create the replica under *data_dir*; call `Platform.start` next.

    Raises:
        DataDirectoryLockedError: Another process runs on that directory.
        UnavailableError: The broker does not answer, and there is no replica to serve from.
        StorageError: A file can neither be opened nor replaced.
        ContractError: The contracts do not compile, or do not fit what the lake holds.
    """
    opening = partial(_storage, broker=broker, options=options)
    return assemble(
        data_dir,
        registry,
        opening,
        clock=clock,
        timers=options.timers,
        open_control=options.open_control,
    )


def _storage(site: Site, *, broker: Broker, options: StreamOptions) -> Storage:
    registry, gate = site.definitions.registry, site.definitions.gate
    in_directory = partial(open_lake, (site.data_dir / "lake").absolute())
    lake = (options.open_lake or in_directory)(registry)
    reader = LakeReader(lake, gate)
    replica = open_replica(site.data_dir, broker, reader, registry, gate)
    recoveries = noted(replica.recoveries)

    def take_from_lake() -> None:
        recoveries.extend(bridge(replica.log, broker, reader, registry, gate))

    def sync(maintain: Callable[[], None]) -> LakeFollower:
        return LakeFollower(
            partial(lake_health, lake),
            adopt=lake.adopt,
            interval=options.look_every,
            housekeeping=Housekeeping(site.supervisor, maintain=maintain),
            supervisor=site.supervisor,
        )

    return Storage(
        log=replica.log,
        reader=reader,
        recoveries=recoveries,
        grace=REMOTE_GRACE,
        small_files=options.small_files,
        sync=sync,
        intake=_Intake(broker, replica, options, take_from_lake),
    )


class _Bell:
    """Tells the watcher that the broker is gone; the stream exists before it does."""

    watcher: EndsWatcher | None = None

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

    def __call__(self, dependencies: IntakeDependencies) -> EventIntake:
        bell = _Bell()
        stream = self.broker.stream(bell.ring)

        def follow(apply: Callable[[Followed], None]) -> Follower:
            return Follower(
                stream,
                self.replica.log,
                stand=self.replica.stand,
                apply=apply,
                bridge=self.bridge,
                supervisor=dependencies.supervisor,
            )

        def watch(
            heard: Callable[[TopicEnds, int], None], lost: Callable[[int], None]
        ) -> EndsWatcher:
            watcher = EndsWatcher(
                stream.ends,
                heard=heard,
                lost=lost,
                clock=dependencies.clock,
                interval_seconds=self.options.watch_seconds,
                supervisor=dependencies.supervisor,
            )
            bell.watcher = watcher
            return watcher

        ends = StreamEnds(
            broker=self.broker.name,
            raw_topic=self.broker.raw_topic,
            sender=self.broker.sender(dependencies.supervisor),
            replica=self.replica.log,
            settled=self.replica.settled,
            follow=follow,
            watch=watch,
        )
        return StreamIntake(dependencies, ends, pressure=Pressure(self.options.backlog_events))
