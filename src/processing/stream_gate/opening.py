"""Builds the gate process of a stream from its bus and its lake."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from agentflow.contracts import Registry
from agentflow.errors import StorageError
from agentflow.supervision import Supervisor
from ingestion.gate.port import GateBus, GateWork
from ingestion.log.lock import DataDirectoryLock
from ingestion.log.private import make_private
from processing.lake import Lake, LakeThread, LakeWriter, lake_health
from processing.lake.housekeeping import Housekeeping
from processing.stream_gate.gate import GateThread
from processing.stream_gate.process import GateParts, GateProcess
from processing.transformations.stream import StreamGate
from quality import Gate

FOLDER = "gate"
"""In the data directory: the lock, so that a platform may run on the same directory."""


def open_gate(
    data_dir: Path,
    registry: Registry,
    work: GateWork,
    *,
    supervisor: Supervisor,
    open_lake: Callable[[Registry], Lake],
    lake_interval: timedelta,
) -> GateProcess:
    """Open the gate; call `GateProcess.start` next.

    Raises:
        DataDirectoryLockedError: Another gate runs on that directory.
        StorageError: The lake cannot be used, or is ahead of the stream.
        ContractError: A contract cannot be stored beside what the lake holds.
    """
    make_private(data_dir)
    make_private(data_dir / FOLDER)
    lock = DataDirectoryLock(data_dir / FOLDER)
    lock.acquire()
    try:
        lake = open_lake(registry)
        _claim(work.bus, lake)
        writer = LakeWriter(lake, work.log, Gate(registry), shared=True)
    except BaseException:
        lock.release()
        raise

    def close() -> None:
        lake.close()
        work.bus.close()
        work.log.close()
        lock.release()

    return GateProcess(
        GateParts(
            gate=GateThread(
                work.bus, StreamGate(registry), raw_topic=work.raw_topic, supervisor=supervisor
            ),
            bus=work.bus,
            topics=work.log,
            lake=LakeThread(
                writer,
                interval=lake_interval,
                housekeeping=Housekeeping(supervisor, look=partial(lake_health, lake)),
                supervisor=supervisor,
            ),
            keep_events=work.keep_events,
            supervisor=supervisor,
            close=close,
        )
    )


def _claim(bus: GateBus, lake: Lake) -> None:
    """Make sure that all gates of a bus write one lake.

    Raises:
        StorageError: The others write another one.
    """
    if not bus.claim_lake(lake.identity):
        lake.close()
        raise StorageError(
            "the gates of this bus write another lake than the one of this directory",
            hint="Set AGENTFLOW_LAKE_DIR to the folder they write, or AGENTFLOW_LAKE_CATALOG for "
            "all of them; a bus that is to have a new lake needs another prefix.",
        )
