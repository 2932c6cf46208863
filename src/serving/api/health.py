"""`/v1/health`, and `/metrics` for Prometheus: whether everything works, and how much it does."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.requests import Request

from agentflow.clock import to_rfc3339
from processing.health import ComponentHealth, components, worst
from processing.lake.port import LakeHealth
from processing.platform import Platform
from processing.write.port import StreamState
from serving.access.scopes import Scope
from serving.api.context import Context, respond, scopes_of_caller, text_response
from serving.api.resource import Resource
from serving.api.telemetry import CONTENT_TYPE
from serving.http.replies import Reply


class ComponentShape(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of one part, and what to do about it; a key without `operate` sees its status."""

    status: str
    detail: str = ""
    fix: str | None = None


class TableShape(msgspec.Struct, frozen=True):
    """One table of the lake, from metadata alone."""

    rows: int
    files: int
    snapshots: int
    bytes: int
    last_commit_at: str | None


class LagShape(msgspec.Struct, frozen=True):
    """How far the lake is behind the log of all tenants; null to a key without `operate`."""

    seconds: float | None
    events: int | msgspec.UnsetType = msgspec.UNSET


class StreamShape(msgspec.Struct, frozen=True):
    """How far behind the stream is what reads can see; present when events come over one.

    A key without `operate` sees whether it is connected: the rest is of all tenants.
    """

    connected: bool
    seconds: float | None
    events: int | msgspec.UnsetType = msgspec.UNSET
    unread: int | msgspec.UnsetType = msgspec.UNSET
    drained_per_second: float | msgspec.UnsetType = msgspec.UNSET
    skipped_offsets: int | msgspec.UnsetType = msgspec.UNSET
    unreadable: int | msgspec.UnsetType = msgspec.UNSET


class HealthShape(msgspec.Struct, frozen=True):
    """Whether the platform does what it is for.

    Without a key there is the status alone. A key with the scope `read` sees the status of each
    part, one with `operate` everything: details count the events of all tenants.
    """

    status: str
    components: dict[str, ComponentShape] | msgspec.UnsetType = msgspec.UNSET
    lake: dict[str, TableShape] | msgspec.UnsetType = msgspec.UNSET
    lag: LagShape | msgspec.UnsetType = msgspec.UNSET
    token: str | msgspec.UnsetType = msgspec.UNSET
    stream: StreamShape | msgspec.UnsetType | None = msgspec.UNSET


class AliveShape(msgspec.Struct, frozen=True):
    """A yes or no, in a status code too."""

    status: str


resource = Resource("operation")


@resource.get("/v1/health", HealthShape, scope=None, tells_more=True)
async def read_health(context: Context, request: Request) -> Reply:
    """See whether everything works."""
    found = health(context.platform)
    scopes = scopes_of_caller(request)
    if Scope.OPERATE in scopes:
        return respond(found)
    if Scope.READ in scopes:
        return respond(health_of_one(found))
    return respond(HealthShape(found.status))


@resource.get("/v1/health/live", AliveShape, scope=None)
async def live() -> Reply:
    """Is the process alive?"""
    return respond(AliveShape("alive"))


@resource.get("/v1/health/ready", AliveShape, scope=None, also={503: AliveShape}, tells_more=True)
async def ready(context: Context, request: Request) -> Reply:
    """May it be sent requests?"""
    found = context.platform.health.readiness()
    if found == "ready":
        return respond(AliveShape(found))
    told = Scope.READ in scopes_of_caller(request)
    shown = AliveShape(found if told else "not_ready")
    return respond(shown, status=503, headers=[(b"retry-after", b"1")])


@resource.get("/metrics", None, media="text/plain", scope=Scope.OPERATE, bearer=True)
async def read_metrics(context: Context) -> Reply:
    """Figures for Prometheus."""
    return text_response(context.telemetry.render(), CONTENT_TYPE.decode())


def health(platform: Platform) -> HealthShape:
    """Return the state of every part, from what is known: nothing is waited for."""
    parts = components(platform.health)
    lag = platform.health.lake_lag()
    stream = platform.intake.stream
    return HealthShape(
        status=worst(parts.values()),
        components={name: _component_shape(part) for name, part in parts.items()},
        lake=_tables(platform.health.lake.seen),
        lag=LagShape(round(lag.seconds, 3), lag.events),
        token=platform.tokens.now(),
        stream=None if stream is None else _stream_shape(stream),
    )


def health_of_one(found: HealthShape) -> HealthShape:
    """Return what a tenant sees of the health of all: nothing that counts what others send."""
    parts = {} if found.components is msgspec.UNSET else found.components
    lag, stream = found.lag, found.stream
    return HealthShape(
        status=found.status,
        components={name: ComponentShape(part.status) for name, part in parts.items()},
        lag=lag if lag is msgspec.UNSET else LagShape(None),
        token=found.token,
        stream=StreamShape(stream.connected, None) if isinstance(stream, StreamShape) else stream,
    )


def _component_shape(part: ComponentHealth) -> ComponentShape:
    return ComponentShape(part.status, part.detail, part.fix)


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


class PlatformFigures:
    """The platform's own figures for Prometheus."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def counters(self) -> Mapping[str, tuple[str, Mapping[tuple[tuple[str, str], ...], float]]]:
        """Return what was counted since the start."""
        counts = self._platform.intake.counts
        statuses = self._platform.health.statuses()
        return {
            "agentflow_processing_events": (
                "Events taken, by what became of them.",
                {(("status", status),): float(count) for status, count in counts.items()},
            ),
            "agentflow_processing_lake_maintenances": (
                "How often the lake was maintained.",
                {(): float(self._platform.health.lake.maintained)},
            ),
            "agentflow_processing_background_failures": (
                "Failures of threads and tasks in the background.",
                {(("activity", each.name),): float(each.failures) for each in statuses},
            ),
            "agentflow_processing_background_restarts": (
                "How often a thread or task was started again.",
                {(("activity", each.name),): float(each.restarts) for each in statuses},
            ),
        }

    def gauges(self) -> Mapping[str, tuple[str, float]]:
        """Return what is so now."""
        platform = self._platform
        health = platform.health
        lag = health.lake_lag()
        statuses = health.statuses()
        return {
            "agentflow_processing_ready": ("1 once live state is complete.", platform.ready),
            "agentflow_processing_backlog_events": (
                "Events taken and not yet durable.", platform.intake.backlog_events),
            "agentflow_processing_live_offset": (
                "Position of the live engine in the log.", platform.engine.next_offset),
            "agentflow_ingestion_log_events": ("Accepted events in the log.", health.log_end),
            "agentflow_ingestion_dead_letters": (
                "Dead letters in the log.", health.dead_letters_end),
            "agentflow_processing_lake_lag_events": (
                "Events the lake does not hold yet.", lag.events),
            "agentflow_processing_lake_lag_seconds": (
                "Age of the oldest event the lake does not hold.", lag.seconds),
            "agentflow_processing_background_failing": (
                "Threads and tasks in the background that fail.",
                sum(each.state == "failing" for each in statuses)),
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
