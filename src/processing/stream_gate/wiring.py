"""From settings to the gate of a bus that Flink does not judge."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from agentflow.clock import SystemClock
from agentflow.errors import DataDirectoryLockedError, ParameterError
from agentflow.settings import Settings
from agentflow.supervision import Supervisor
from ingestion.buses import BUSES
from processing.definitions.compiling import load_compiled
from processing.lake.wiring import lake_that_is_written
from processing.stream_gate.opening import open_gate
from processing.stream_gate.process import GateProcess

_ASK_AGAIN_SECONDS: Final = 1.0


def gate_from(settings: Settings) -> GateProcess:
    """Open the gate *settings* describe.

    Raises:
        ParameterError: Events do not come over a bus that has a gate of ours.
        UnavailableError: The broker does not answer.
        StorageError: It would lose events, or the lake cannot be used.
    """
    bus = BUSES.get(settings.bus)
    if bus is None or bus.gate is None:
        judged = " or ".join(name for name, each in BUSES.items() if each.gate)
        raise ParameterError(
            f'events come over "{settings.bus}", where this command has nothing to do',
            hint=f"Set AGENTFLOW_BUS={judged}; on Kafka the gate is a Flink job, embedded it is "
            "part of `agentflow up`.",
        )
    work = bus.gate(settings)
    return open_gate(
        settings.data_dir,
        load_compiled(settings.contracts_dir),
        work,
        supervisor=Supervisor(SystemClock()),
        open_lake=lake_that_is_written(settings),
        lake_interval=timedelta(seconds=settings.lake_interval_seconds),
    )


async def run_gate(
    settings: Settings, *, ready: Callable[[], None], waits: Callable[[str], None]
) -> int:
    """Run the gate until a signal ends it; return the exit code.

    While another gate runs on the same directory, *waits* is told so, and this one takes over.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    process: GateProcess | None = None
    said = False
    while process is None and not stop.is_set():
        try:
            process = gate_from(settings)
        except DataDirectoryLockedError as error:
            if not said:
                waits(str(error))
                said = True
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _ASK_AGAIN_SECONDS)
    if process is not None:
        await process.start()
        ready()
        await stop.wait()
        await process.close()
    return 0
