"""Builds platforms: what all of them have, and the embedded one (SQLite, local files, DuckDB)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog

from agentflow.clock import Clock
from agentflow.contracts import Registry
from agentflow.supervision import Supervisor
from agentflow.timers import Timers
from control_store.opened import OpenControl
from control_store.wiring import in_file
from ingestion.log.lock import DataDirectoryLock
from ingestion.log.opening import open_log
from ingestion.log.private import make_private
from ingestion.log.sqlite_log import SqliteLog
from processing.definitions import Definitions
from processing.history import History
from processing.lake import LakeReader, LakeSync, LakeThread, LakeWriter, Location, lake_health
from processing.lake.housekeeping import Housekeeping
from processing.lake.maintenance import GRACE, REMOTE_GRACE, SMALL_FILES, maintain
from processing.live import LiveEngine
from processing.live.groups import LoggedGroups
from processing.platform import Parts, Platform
from processing.recovery.opening import (
    Recovery,
    control_recovery,
    log_recovery,
    open_lake_beside,
    open_remote_beside,
)
from processing.runtime.memory import give_back
from processing.write.intake import Intake
from processing.write.port import EventIntake, IntakeDependencies

log = structlog.get_logger()
LAKE_INTERVAL = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a platform is opened, and what is there before its log and its lake are."""

    data_dir: Path
    definitions: Definitions
    supervisor: Supervisor


@dataclass(frozen=True, slots=True)
class Storage:
    """The log and the lake of a platform, and what differs with the bus.

    Attributes:
        log: The log of this process; the platform closes it, and the lake.
        recoveries: What had to be repaired; may grow while the platform runs.
        grace: For so long, the lake's maintenance leaves files alone that nothing names.
        small_files: So many small files of a day are merged.
        sync: Makes what brings events to the lake, given what keeps the lake small.
        intake: Makes the way in for events.
    """

    log: SqliteLog
    reader: LakeReader
    recoveries: list[Recovery]
    grace: timedelta
    small_files: int
    sync: Callable[[Callable[[], None]], LakeSync]
    intake: Callable[[IntakeDependencies], EventIntake]


def open_platform(  # noqa: PLR0913 - each is another decision of who opens it
    data_dir: Path,
    registry: Registry,
    *,
    clock: Clock,
    lake_interval: timedelta = LAKE_INTERVAL,
    lake_location: Location | None = None,
    small_files: int = SMALL_FILES,
    timers: Timers | None = None,
    open_control: OpenControl = in_file,
) -> Platform:
    """Open or create everything under *data_dir*; call `Platform.start` next.

    The lake is there as well, unless *lake_location* names a catalog. So many *small_files* of a
    day are merged.

    Raises:
        DataDirectoryLockedError: Another process runs on that directory.
        StorageError: A file can neither be opened nor moved aside.
        ContractError: The contracts do not compile, or do not fit what the lake holds.
    """
    opening = partial(
        _embedded, interval=lake_interval, location=lake_location, small_files=small_files
    )
    return assemble(
        data_dir, registry, opening, clock=clock, timers=timers, open_control=open_control
    )


def assemble(
    data_dir: Path,
    registry: Registry,
    open_storage: Callable[[Site], Storage],
    *,
    clock: Clock,
    timers: Timers | None = None,
    open_control: OpenControl = in_file,
) -> Platform:
    """Build a platform under *data_dir* over the log and the lake that *open_storage* opens.

    Raises:
        DataDirectoryLockedError: Another process runs on that directory.
        StorageError: The control store can neither be opened nor moved aside.
        ContractError: The contracts do not compile.
    """
    definitions = Definitions.compile(registry)
    make_private(data_dir)
    lock = DataDirectoryLock(data_dir)
    lock.acquire()
    try:
        site = Site(data_dir, definitions, Supervisor(clock, timers))
        return _platform(site, open_storage, lock, open_control, clock=clock)
    except BaseException:
        lock.release()
        raise


def _platform(
    site: Site,
    open_storage: Callable[[Site], Storage],
    lock: DataDirectoryLock,
    open_control: OpenControl,
    *,
    clock: Clock,
) -> Platform:
    definitions, supervisor = site.definitions, site.supervisor
    registry, gate = definitions.registry, definitions.gate
    control = open_control(site.data_dir, supervisor.activity("control-store", "control"))
    of_control = noted(control_recovery(control.report))
    storage = open_storage(site)
    storage.recoveries.extend(of_control)
    lake = storage.reader.lake
    history = History(
        storage.reader,
        storage.log,
        gate=gate,
        registry=registry,
        activity=supervisor.activity("history", "history"),
    )

    def keep_small() -> None:
        maintain(lake, clock=clock, min_files=storage.small_files, grace=storage.grace)
        give_back()

    def close() -> None:
        history.close()
        lake.close()
        storage.log.close()
        control.store.close()
        lock.release()

    engine = LiveEngine(
        list(definitions.plans.values()),
        corrections=definitions.corrections(LoggedGroups(storage.log, gate)),
        now_us=clock.now_us(),
    )
    parts = Parts(
        data_dir=site.data_dir,
        log=storage.log,
        control=control.store,
        reader=storage.reader,
        lake=storage.sync(keep_small),
        history=history,
        engine=engine,
        intake=storage.intake,
        close=close,
        recoveries=storage.recoveries,
        supervisor=supervisor,
    )
    return Platform(definitions, parts, clock=clock)


def noted(recoveries: Iterable[Recovery]) -> list[Recovery]:
    """Log what had to be repaired, and return it."""
    found = list(recoveries)
    for recovery in found:
        log.error("storage.recovered", component=recovery.component, detail=recovery.detail)
    return found


def _embedded(
    site: Site, *, interval: timedelta, location: Location | None, small_files: int
) -> Storage:
    registry, gate = site.definitions.registry, site.definitions.gate
    opened = open_log(site.data_dir / "log.sqlite")
    of_log = noted(log_recovery(opened.report))
    beside = (
        open_lake_beside(opened.log, site.data_dir, registry, gate)
        if location is None
        else open_remote_beside(opened.log, location, site.data_dir, registry, gate)
    )
    writer = LakeWriter(beside.lake, opened.log, gate)

    def sync(maintain: Callable[[], None]) -> LakeThread:
        look = partial(lake_health, beside.lake)
        housekeeping = Housekeeping(site.supervisor, maintain=maintain, look=look)
        return LakeThread(
            writer, interval=interval, housekeeping=housekeeping, supervisor=site.supervisor
        )

    return Storage(
        log=opened.log,
        reader=LakeReader(beside.lake, gate),
        recoveries=[*of_log, *beside.recoveries],
        grace=GRACE if location is None else REMOTE_GRACE,
        small_files=small_files,
        sync=sync,
        intake=Intake,
    )
