"""`POST /v1/events` and `POST /v1/dry-run`: events in, and what one would do."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec
from starlette.requests import Request

from agentflow.events import RawEvent
from processing.write.dry_run import DryRun
from quality.verdict import Accepted
from serving.access.scopes import Scope
from serving.api.context import Context, respond, tenant_of
from serving.api.contract_parameters import many_events, one_event
from serving.api.event_results import (
    EventsShape,
    ListDetail,
    detail_of,
    repeated_header,
    take_events,
)
from serving.api.narrowed_events import refusal, sink_of
from serving.api.resource import Resource
from serving.http.bodies import EVENTS_LIMIT_BYTES
from serving.http.cloudevents import RepeatedHeaderError, binary_mode, structured
from serving.http.problems import Detail, Problem, ProblemError, unknown_parameters
from serving.http.replies import Reply
from serving.read.answer_document import rendered
from serving.read.query_string import parse_query
from serving.read.units import unit_of

_EVENT_CODES: Final = (
    "event_rejected", "media_type_unsupported", "too_many_events", "parameter_invalid",
    "storage_full", "storage_failed", "backlog_full", "record_too_large", "header_invalid",
)  # fmt: skip
_DETAILS: Final = ("all", "errors")


class MoveShape(msgspec.Struct, frozen=True):
    """How one number of one metric would change."""

    metric: str
    version: int
    window: str
    dimensions: dict[str, Any]
    before: int | str | None
    after: int | str | None
    moved: int | str | None
    unit: str | None


class DryRunShape(msgspec.Struct, frozen=True):
    """What an event would do. `event` is the event as it would be stored, enriched."""

    accepted: bool
    errors: list[Detail]
    warnings: list[Detail]
    event: dict[str, Any] | None
    duplicate: bool
    moves: list[MoveShape]


resource = Resource("events")


@resource.post(
    "/v1/events",
    EventsShape,
    *_EVENT_CODES,
    also={207: EventsShape},
    scope=Scope.EVENTS_WRITE,
    free=True,
    body_limit_bytes=EVENTS_LIMIT_BYTES,
    describe=many_events,
)
async def send_events(context: Context, request: Request, body: bytes) -> Reply:
    """Send events."""
    detail = _detail(request.scope["query_string"])
    platform = context.platform
    return await take_events(
        sink_of(context, request),
        platform.clock,
        context.offsets,
        tenant=tenant_of(request),
        headers=request.scope["headers"],
        body=body,
        detail=detail,
        request_id=request.scope["request_id"],
    )


@resource.post("/v1/dry-run", DryRunShape, "header_invalid", scope=Scope.READ, describe=one_event)
async def dry_run(context: Context, request: Request, body: bytes) -> Reply:
    """Ask what an event would do."""
    headers = request.scope["headers"]
    try:
        value = structured(headers, body) if binary_mode(headers) else body
    except RepeatedHeaderError as error:
        raise ProblemError(repeated_header(error)) from None
    platform = context.platform
    raw = RawEvent(value, tenant_of(request), platform.clock.now_us())
    refused = refusal(context, request, raw)
    if refused is not None:
        return respond(_shape(context, request, DryRun(refused, duplicate=False, moves=())))
    await platform.refresh_large(raw.tenant)
    return respond(_shape(context, request, platform.dry_run(raw)))


def _detail(query: bytes) -> ListDetail:
    """Return which events are wanted in the answer.

    Raises:
        ProblemError: The query says something else.
    """
    if not query:
        return "all"
    given = parse_query(query)
    if unknown := given.keys() - {"detail"}:
        raise ProblemError(unknown_parameters(sorted(unknown), ["detail"]))
    if given["detail"] not in _DETAILS:
        message = 'parameter "detail" is neither "all" nor "errors"'
        raise ProblemError(
            Problem("parameter_invalid", message, "Pass all or errors, or leave it out.")
        )
    return cast("ListDetail", given["detail"])


def _shape(context: Context, request: Request, result: DryRun) -> DryRunShape:
    verdict, shown = result.verdict, context.registry_of(request).metrics
    if not isinstance(verdict, Accepted):
        errors = [detail_of(item) for item in verdict.violations]
        return DryRunShape(
            accepted=False, errors=errors, warnings=[], event=None, duplicate=False, moves=[]
        )
    document = context.documents.document(verdict.event, -1)
    del document["offset"]
    return DryRunShape(
        accepted=True,
        errors=[],
        warnings=[detail_of(item) for item in verdict.warnings],
        event=document,
        duplicate=result.duplicate,
        moves=[
            MoveShape(
                metric=move.plan.contract.name,
                version=move.plan.contract.version,
                window=move.window,
                dimensions=dict(move.dimensions),
                before=rendered(move.before),
                after=rendered(move.after),
                moved=rendered(move.moved),
                unit=unit_of(move.plan, move.dimensions),
            )
            for move in result.moves
            if move.plan.id in shown
        ],
    )
