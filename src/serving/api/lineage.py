"""`/v1/lineage`: where an event has really been, and what a metric is really made of."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any

import msgspec
from pydantic import Field
from starlette.requests import Request

from agentflow.clock import to_rfc3339
from agentflow.contracts import MetricContract, Registry
from agentflow.errors import NotFoundError
from agentflow.events import EventRef
from agentflow.wording import quoted
from ingestion.log.port import RAW, VALIDATED, Record
from processing.lake.folder import within_lake
from quality.envelope import UNKNOWN_SOURCE
from serving.access.scopes import Scope
from serving.api.context import Context, may_see_all_tenants, respond, tenant_of
from serving.api.resource import Resource
from serving.http.replies import Reply
from serving.read.answer import contract_document


class HopShape(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place an event has really been: what is not known to have happened is not listed.

    Attributes:
        snapshot_id: The lake's commit; only to a key with `operate`, as `file` is.
        file: Relative to the lake.
    """

    hop: str
    at: str | None = None
    topic: str | None = None
    offset: int | None = None
    table: str | None = None
    snapshot_id: int | None = None
    file: str | None = None
    metrics: list[str] | None = None


class EventLineageShape(msgspec.Struct, frozen=True):
    """The way of one event."""

    event_id: str
    source: str
    type: str
    hops: list[HopShape]


class MetricSource(msgspec.Struct, frozen=True):
    """An event type a metric is computed from, and where its history is.

    Attributes:
        rows: Rows of all tenants; null to a key without the scope `operate`, as `files` and
            `snapshot_id` are.
    """

    event: str
    table: str
    snapshot_id: int | None
    rows: int | None
    files: int | None


class MetricLineageShape(msgspec.Struct, frozen=True):
    """What a metric is made of, now.

    Attributes:
        live_offset: Up to where live state holds the log of all tenants; null to a key without the
            scope `operate`, as `lake_offset` is.
    """

    metric: str
    version: int
    contract: dict[str, Any]
    sources: list[MetricSource]
    live_offset: int | None
    lake_offset: int | None


resource = Resource("lineage")


@resource.get(
    "/v1/lineage/event/{event_id:path}",
    EventLineageShape,
    "not_found",
    "parameter_invalid",
    "storage_failed",
    scope=Scope.EVENTS_READ,
)
async def follow_event(
    context: Context,
    request: Request,
    event_id: str,
    source: Annotated[str, Field(max_length=1024)] = UNKNOWN_SOURCE,
) -> Reply:
    """Follow an event."""
    named = (tenant_of(request), source, event_id)
    counted, shown = may_see_all_tenants(request), context.registry_of(request)
    hops = partial(event_lineage, context, shown, *named, counted=counted)
    return respond(await asyncio.to_thread(hops))


@resource.get(
    "/v1/lineage/metric/{name}",
    MetricLineageShape,
    "metric_unknown",
    "parameter_invalid",
    "storage_failed",
    scope=Scope.METRICS_READ,
)
async def trace_metric(
    context: Context,
    request: Request,
    name: str,
    version: Annotated[int | None, Field(ge=1, le=999_999_999)] = None,
) -> Reply:
    """See what a metric is made of."""
    contract = context.registry_of(request).metric(name, version)
    counted = may_see_all_tenants(request)
    return respond(await asyncio.to_thread(metric_lineage, context, contract, counted=counted))


def event_lineage(
    context: Context, shown: Registry, tenant: str, source: str, event_id: str, *, counted: bool
) -> EventLineageShape:
    """Return the hops of an accepted event; reads the log and the lake's metadata.

    With *counted*, the commit and the file that hold it: both are of all tenants.

    Raises:
        NotFoundError: No event with that identity was accepted.
    """
    record = context.platform.accepted.find(tenant, source, event_id)
    if record is None or (shown.narrowed and _ref(record) not in shown.events):
        raise NotFoundError(
            f"event {quoted(event_id)} from source {quoted(source)} was not accepted",
            hint="An event is named by its source and its id: pass ?source=…",
        )
    hops = [HopShape("received", at=to_rfc3339(record.timestamp_us)), *_raw(context, record)]
    number = _number(context, record, VALIDATED, record.offset)
    hops.append(HopShape("validated", topic=VALIDATED, offset=number))
    hops += [*_live(context, shown, record), *_lake(context, record, counted=counted)]
    return EventLineageShape(event_id, source, record.headers["type"], hops)


def _raw(context: Context, record: Record) -> list[HopShape]:
    """Return the raw hop: in the log, or in a stream; none if it was put back from the lake."""
    headers = record.headers
    raw_offset = int(headers.get("raw_offset", "-1"))
    if "raw_topic" in headers:
        place = f"{headers['raw_topic']}/{headers.get('raw_partition', '0')}"
        number = _number(context, record, place, raw_offset)
        return [HopShape("raw", topic=place, offset=number)]
    if context.platform.lineage.has_raw(raw_offset):
        return [HopShape("raw", topic=RAW, offset=_number(context, record, RAW, raw_offset))]
    return []


def _number(context: Context, record: Record, topic: str, offset: int) -> int:
    return context.offsets.shown(record.headers["tenant"], topic, offset)


def _ref(record: Record) -> EventRef:
    return EventRef(record.headers["type"], int(record.headers["version"]))


def _live(context: Context, shown: Registry, record: Record) -> list[HopShape]:
    platform = context.platform
    if record.offset >= platform.engine.next_offset:
        return []
    moved = [f"{m.name}@{m.version}" for m in shown.moved_by(_ref(record))]
    number = _number(context, record, VALIDATED, record.offset)
    return [HopShape("live", offset=number, metrics=moved)]


def _lake(context: Context, record: Record, *, counted: bool) -> list[HopShape]:
    located = context.platform.lineage.locate(_ref(record), record.offset)
    if located is None:
        return []
    return [
        HopShape(
            "lake",
            offset=_number(context, record, VALIDATED, record.offset),
            table=located.table,
            snapshot_id=located.snapshot_id if counted else None,
            file=within_lake(located.file) if counted else None,
        )
    ]


def metric_lineage(
    context: Context, contract: MetricContract, *, counted: bool
) -> MetricLineageShape:
    """Return what a metric is computed from; reads the lake's metadata.

    With *counted*, the commits it is in, and how much they hold of all tenants.
    """
    platform = context.platform
    plan = platform.definitions.plans[(contract.name, contract.version)]
    sources = [
        MetricSource(
            event=str(ref),
            table=table.name,
            snapshot_id=table.snapshot_id if counted else None,
            rows=table.rows if counted else None,
            files=table.files if counted else None,
        )
        for ref, table in platform.lineage.tables(contract.refs).items()
    ]
    return MetricLineageShape(
        metric=contract.name,
        version=contract.version,
        contract=contract_document(plan, platform),
        sources=sources,
        live_offset=platform.engine.next_offset if counted else None,
        lake_offset=platform.lineage.lake_offset if counted else None,
    )
