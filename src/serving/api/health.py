"""`/v1/health`, and `/metrics` for Prometheus: whether everything works, and how much it does."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from typing import Final, Literal

from fastapi import APIRouter
from starlette.responses import Response

from agentflow.clock import to_rfc3339
from agentflow.errors import AgentFlowError
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.intake_port import StreamState
from processing.lake.follower import LakeFollower
from processing.lake.health import LakeHealth, lake_health
from processing.platform import Platform
from processing.recovery import Recovery
from serving.api.context import Context, respond, text_response
from serving.api.operation import operation
from serving.api.shapes import (
    AliveShape,
    ComponentShape,
    HealthShape,
    LagShape,
    StreamShape,
    TableShape,
)
from serving.api.telemetry import CONTENT_TYPE

Status = Literal["ok", "degraded", "failing"]
LOW_SPACE_BYTES: Final = 512 * 1024 * 1024
_LAGGING_EVENTS: Final = 100_000
_LAGGING_SECONDS: Final = 5
_ORDER: Final[tuple[Status, ...]] = ("ok", "degraded", "failing")


def router(context: Context) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["operation"])

    @routes.get("/v1/health", **operation("See whether everything works", HealthShape, keyed=False))
    async def read_health() -> Response:
        return respond(await asyncio.to_thread(health, context))

    @routes.get("/v1/health/live", **operation("Is the process alive?", AliveShape, keyed=False))
    async def live() -> Response:
        return respond(AliveShape("alive"))

    @routes.get(
        "/v1/health/ready",
        **operation("May it be sent requests?", AliveShape, keyed=False, also={503: AliveShape}),
    )
    async def ready() -> Response:
        if context.platform.ready:
            return respond(AliveShape("ready"))
        return respond(AliveShape("rebuilding"), status=503, headers=[(b"retry-after", b"1")])

    @routes.get(
        "/metrics",
        **operation("Figures for Prometheus", None, media="text/plain", keyed=False),
    )
    async def read_metrics() -> Response:
        return text_response(context.telemetry.render(), CONTENT_TYPE.decode())

    return routes


def health(context: Context) -> HealthShape:
    """Return the state of every part; reads metadata only, in a thread."""
    platform = context.platform
    lake, lake_component = _lake(platform)
    components = {
        "log": _log(platform),
        "live": _live(platform),
        "lake": lake_component,
        "control": ComponentShape("ok", "idempotency keys, triage and changelog are stored", None),
        "history": ComponentShape("ok", "DuckDB answers over the lake and the log", None),
    }
    stream = platform.intake.stream
    if stream is not None:
        components["stream"] = _stream(stream)
    for recovery in platform.parts.recoveries:
        components[recovery.component] = _recovered(components[recovery.component], recovery)
    worst = max((component.status for component in components.values()), key=_rank)
    return HealthShape(
        status=worst,
        components=components,
        lake=_tables(lake),
        lag=_lag(platform, lake),
        token=platform.token(),
        stream=None if stream is None else _stream_shape(stream),
    )


def _stream_shape(stream: StreamState) -> StreamShape:
    return StreamShape(
        connected=stream.connected,
        events=stream.raw_events,
        unread=stream.unread_events,
        seconds=round(stream.seconds or 0.0, 3),
        drained_per_second=round(stream.drained_per_second, 1),
        skipped_offsets=stream.jumped,
        unreadable=stream.unreadable,
    )


def _stream(stream: StreamState) -> ComponentShape:
    behind = f"{stream.raw_events} events behind, {stream.seconds or 0:.1f} s"
    if stream.failure is not None:
        return ComponentShape("failing", stream.failure, "Restart: it reads on, or rebuilds.")
    if stream.paused is not None:
        return ComponentShape("degraded", f"paused: {stream.paused}", "Free some disk space.")
    if not stream.connected:
        detail = f"Kafka does not answer; what is shown may be {stream.seconds or 0:.1f} s old"
        return ComponentShape("degraded", detail, "Start a broker: it reads on by itself.")
    if (stream.seconds or 0) > _LAGGING_SECONDS:
        fix = "See that the job that judges events runs and keeps up."
        return ComponentShape("degraded", behind, fix)
    return ComponentShape("ok", behind, None)


def _recovered(component: ComponentShape, recovery: Recovery) -> ComponentShape:
    """Say what had to be repaired to start, until the next start."""
    detail = f"{component.detail}; repaired at start: {recovery.detail}"
    if not recovery.lost:
        return ComponentShape(component.status, detail, component.fix)
    fix = component.fix or "Look through the files that were moved aside; a restart clears this."
    worst = max(component.status, "degraded", key=_rank)
    return ComponentShape(worst, detail, fix)


def _rank(status: str) -> int:
    return [str(known) for known in _ORDER].index(status)


def _log(platform: Platform) -> ComponentShape:
    free = shutil.disk_usage(platform.parts.data_dir).free
    if free < LOW_SPACE_BYTES:
        return ComponentShape(
            "degraded",
            f"{free // (1024 * 1024)} MiB are free on the disk",
            "Free some space: intake stops when the disk is full, and nothing is lost.",
        )
    end = platform.parts.log.end(VALIDATED)
    return ComponentShape("ok", f"the next offset is {end}; {free // 2**30} GiB free", None)


def _live(platform: Platform) -> ComponentShape:
    if not platform.ready:
        return ComponentShape("failing", "live state is being rebuilt", "Wait; it ends by itself.")
    waiting = platform.intake.backlog_events
    source = platform.rebuilt.source if platform.rebuilt else "nothing"
    why = platform.rebuilt.reason if platform.rebuilt else None
    started = f"started from the {source}{f' because {why}' if why else ''}"
    return ComponentShape("ok", f"{started}; {waiting} events wait", None)


def _lake(platform: Platform) -> tuple[LakeHealth | None, ComponentShape]:
    failure = platform.parts.lake.failure
    if failure is not None and isinstance(platform.parts.lake, LakeFollower):
        fix = getattr(failure, "hint", None) or "See the server's log; it is asked again."
        return None, ComponentShape("failing", str(failure), fix)  # asking would only take time
    try:
        found = lake_health(platform.parts.reader.lake)
    except AgentFlowError as error:
        return None, ComponentShape("failing", str(error), error.hint or "See the log.")
    if failure is not None:
        fix = "See the server's log; it is tried again at every interval."
        return found, ComponentShape("degraded", f"the last commit failed: {failure}", fix)
    if found.rivals:
        detail = f"{len(found.rivals)} jobs write the lake: {', '.join(found.rivals)}"
        fix = "Cancel all but one: numbers are right, but every row is stored again."
        return found, ComponentShape("degraded", detail, fix)
    behind = platform.parts.log.end(VALIDATED) - found.positions.validated
    if behind > _LAGGING_EVENTS:
        return found, ComponentShape("degraded", f"{behind} events behind the log", "Give it time.")
    return found, ComponentShape("ok", f"{behind} events behind the log", None)


def _tables(lake: LakeHealth | None) -> dict[str, TableShape]:
    return {
        table.table: TableShape(
            rows=table.rows,
            files=table.files,
            snapshots=table.snapshots,
            bytes=table.size_bytes,
            last_commit_at=None
            if table.last_commit_us is None
            else to_rfc3339(table.last_commit_us),
        )
        for table in (lake.tables if lake else ())
    }


def _lag(platform: Platform, lake: LakeHealth | None) -> LagShape:
    end = platform.parts.log.end(VALIDATED)
    covered = lake.positions.validated if lake else 0
    if covered >= end:
        return LagShape(0, 0.0)
    records = platform.parts.log.read(VALIDATED, start=covered, limit=1)
    if not records:
        return LagShape(end - covered, None)
    waited_us = platform.clock.now_us() - records[0].timestamp_us
    return LagShape(end - covered, round(max(waited_us, 0) / 1_000_000, 3))


class PlatformFigures:
    """The platform's own figures for Prometheus."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def counters(self) -> Mapping[str, tuple[str, Mapping[tuple[tuple[str, str], ...], float]]]:
        """Return what was counted since the start."""
        counts = self._platform.intake.counts
        return {
            "agentflow_processing_events": (
                "Events taken, by what became of them.",
                {(("status", status),): float(count) for status, count in counts.items()},
            )
        }

    def gauges(self) -> Mapping[str, tuple[str, float]]:
        """Return what is so now."""
        platform = self._platform
        end = platform.parts.log.end(VALIDATED)
        lag = max(end - platform.parts.lake.covered.validated, 0)
        return {
            "agentflow_processing_ready": ("1 once live state is complete.", platform.ready),
            "agentflow_processing_backlog_events": (
                "Events taken and not yet durable.", platform.intake.backlog_events),
            "agentflow_processing_live_offset": (
                "Position of the live engine in the log.", platform.engine.next_offset),
            "agentflow_ingestion_log_events": ("Accepted events in the log.", end),
            "agentflow_ingestion_dead_letters": (
                "Dead letters in the log.", platform.parts.log.end(DEAD_LETTERS)),
            "agentflow_processing_lake_lag_events": ("Events the lake does not hold yet.", lag),
            **_stream_gauges(platform.intake.stream),
        }  # fmt: skip


def _stream_gauges(stream: StreamState | None) -> Mapping[str, tuple[str, float]]:
    if stream is None:
        return {}
    return {
        "agentflow_processing_stream_connected": ("1 while the broker answers.", stream.connected),
        "agentflow_processing_stream_lag_events": (
            "Events sent and not visible yet.", stream.raw_events),
        "agentflow_processing_stream_unread_events": (
            "Outcomes in the stream and not visible yet.", stream.unread_events),
        "agentflow_processing_stream_lag_seconds": (
            "Age of what may be missing.", stream.seconds or 0.0),
        "agentflow_processing_stream_drained_per_second": (
            "Events settled each second while there were any.", stream.drained_per_second),
    }  # fmt: skip
