"""The gate and the lake writer of a stream in one process: what Flink's two jobs do on Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from agentflow.errors import AgentFlowError
from agentflow.supervision import Supervisor, ended
from ingestion.gate.port import GateBus, JudgedLog
from ingestion.log.port import DEAD_LETTERS, DUPLICATES, VALIDATED
from processing.lake import LakeThread, Positions
from processing.stream_gate.gate import GateThread

LOOK_EVERY: Final = timedelta(seconds=1)
"""How often the lake is told where the stream ends, and old records are let go."""


@dataclass(frozen=True, slots=True)
class GateParts:
    """What a gate process is made of.

    Attributes:
        keep_events: Records that each topic keeps, beyond what was judged, or the lake covers.
        close: Lets files and connections go, after everything has ended.
    """

    gate: GateThread
    bus: GateBus
    topics: JudgedLog
    lake: LakeThread
    keep_events: int
    supervisor: Supervisor
    close: Callable[[], None]


class GateProcess:
    """Judges, writes the lake and lets old records go until it is closed. One event loop."""

    def __init__(self, parts: GateParts) -> None:
        self.parts = parts
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self.parts.lake.start()
        self.parts.gate.start()
        self._looking = self.parts.supervisor.task("gate-upkeep", "stream", self._look)

    async def close(self) -> None:
        """Finish what is under way, write what is left to the lake, and end."""
        if self._looking is not None:
            await ended([self._looking])
        await asyncio.to_thread(self.parts.gate.close)
        await asyncio.to_thread(self.parts.lake.close)
        self.parts.close()

    async def _look(self) -> None:
        activity = self.parts.supervisor.activity("gate-upkeep", "stream")
        while True:
            try:
                await asyncio.to_thread(self._tend)
            except AgentFlowError as error:
                activity.failed(error, expected=True)
            else:
                activity.well()
            await self.parts.supervisor.timers.sleep(LOOK_EVERY.total_seconds())

    def _tend(self) -> None:
        parts, keep = self.parts, self.parts.keep_events
        if not parts.gate.leads:
            return
        parts.lake.notify(Positions(*(parts.topics.end(t) for t in (VALIDATED, DEAD_LETTERS))))
        if not keep:
            return
        covered = parts.lake.covered
        ends = {
            VALIDATED: covered.validated,
            DEAD_LETTERS: covered.dead_letters,
            DUPLICATES: parts.topics.end(DUPLICATES),
        }
        judged = parts.bus.progress().positions
        parts.bus.trim(
            before={topic: max(end - keep, 0) for topic, end in ends.items()},
            raw={partition: max(at - keep, 0) for partition, at in judged.items()},
        )
