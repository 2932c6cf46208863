"""Builds the embedded platform: SQLite, PyIceberg on local files, DuckDB, one process."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog

from agentflow.clock import Clock
from agentflow.contracts import Registry
from agentflow.supervision import Supervisor
from agentflow.timers import Timers
from ingestion.control.opening import open_control
from ingestion.log.lock import DataDirectoryLock
from ingestion.log.opening import open_log
from ingestion.log.private import make_private
from processing.definitions import Definitions
from processing.history import History
from processing.lake import LakeReader, LakeThread, LakeWriter, Location, lake_health
from processing.lake.maintenance import GRACE, REMOTE_GRACE, SMALL_FILES, maintain
from processing.lake.upkeep import Upkeep
from processing.platform import Parts, Platform
from processing.recovery.opening import (
    control_recovery,
    log_recovery,
    open_lake_beside,
    open_remote_beside,
)
from processing.runtime.memory import give_back

log = structlog.get_logger()
LAKE_INTERVAL = timedelta(seconds=5)


def open_platform(  # noqa: PLR0913 - each is another decision of who opens it
    data_dir: Path,
    registry: Registry,
    *,
    clock: Clock,
    lake_interval: timedelta = LAKE_INTERVAL,
    lake_location: Location | None = None,
    small_files: int = SMALL_FILES,
    timers: Timers | None = None,
) -> Platform:
    """Open or create everything under *data_dir*; call `Platform.start` next.

    The lake is there as well, unless *lake_location* names a catalog. So many *small_files* of a
    day are merged.

    Raises:
        DataDirectoryLockedError: Another process runs on that directory.
        StorageError: A file can neither be opened nor moved aside.
        ContractError: The contracts do not compile, or do not fit what the lake holds.
    """
    definitions = Definitions.compile(registry)
    make_private(data_dir)
    lock = DataDirectoryLock(data_dir)
    lock.acquire()
    try:
        return _open(
            data_dir,
            definitions,
            lock,
            supervisor=Supervisor(clock, timers),
            lake=(lake_interval, lake_location, small_files),
        )
    except BaseException:
        lock.release()
        raise


def _open(
    data_dir: Path,
    definitions: Definitions,
    lock: DataDirectoryLock,
    *,
    supervisor: Supervisor,
    lake: tuple[timedelta, Location | None, int],
) -> Platform:
    clock = supervisor.clock
    registry, gate = definitions.registry, definitions.gate
    control = open_control(
        data_dir / "control.sqlite", supervisor.activity("control-store", "control")
    )
    opened = open_log(data_dir / "log.sqlite")
    recoveries = [*log_recovery(opened.report), *control_recovery(control.report)]
    for recovery in recoveries:
        log.error("storage.recovered", component=recovery.component, detail=recovery.detail)
    interval, location, small_files = lake
    beside = (
        open_lake_beside(opened.log, data_dir, registry, gate)
        if location is None
        else open_remote_beside(opened.log, location, data_dir, registry, gate)
    )
    reader = LakeReader(beside.lake, gate)
    writer = LakeWriter(beside.lake, opened.log, gate)
    history = History(
        reader,
        opened.log,
        gate=gate,
        registry=registry,
        activity=supervisor.activity("history", "history"),
    )
    grace = GRACE if location is None else REMOTE_GRACE

    def keep_small() -> None:
        maintain(beside.lake, clock=clock, min_files=small_files, grace=grace)
        give_back()

    def close() -> None:
        history.close()
        beside.lake.close()
        opened.log.close()
        control.store.close()
        lock.release()

    parts = Parts(
        data_dir=data_dir,
        log=opened.log,
        control=control.store,
        reader=reader,
        lake=LakeThread(
            writer,
            interval=interval,
            upkeep=Upkeep(supervisor, maintain=keep_small, look=partial(lake_health, beside.lake)),
            supervisor=supervisor,
        ),
        history=history,
        close=close,
        recoveries=(*recoveries, *beside.recoveries),
        supervisor=supervisor,
    )
    return Platform(definitions, parts, clock=clock)
