"""From settings to the gate of the light bus."""

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
from ingestion.log.opening import random_id
from ingestion.redis.gate_bus import RedisGateBus
from ingestion.redis.opening import opened_bus
from ingestion.redis.wiring import redis_config
from processing.definitions.compiling import load_compiled
from processing.lake.wiring import lake_that_is_written
from processing.stream_gate.opening import GateOptions, open_gate
from processing.stream_gate.process import GateProcess

_ASK_AGAIN_SECONDS: Final = 1.0


def gate_from(settings: Settings) -> GateProcess:
    """Open the gate *settings* describe.

    Raises:
        ParameterError: Events do not come over Redis.
        UnavailableError: Redis does not answer.
        StorageError: Redis would lose events, or the lake cannot be used.
    """
    if settings.bus != "redis":
        raise ParameterError(
            f'events come over "{settings.bus}", where this command has nothing to do',
            hint="Set AGENTFLOW_BUS=redis; on Kafka the gate is a Flink job, embedded it is part "
            "of `agentflow up`.",
        )
    config = redis_config(settings)
    log = opened_bus(config)
    return open_gate(
        settings.data_dir,
        load_compiled(settings.contracts_dir),
        RedisGateBus(config, holder=random_id(), log_id=log.log_id),
        log,
        supervisor=Supervisor(SystemClock()),
        options=GateOptions(
            raw_topic=config.raw_topic,
            open_lake=lake_that_is_written(settings),
            keep_events=settings.redis_keep_events,
            lake_interval=timedelta(seconds=settings.lake_interval_seconds),
        ),
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
