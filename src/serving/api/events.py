"""`POST /v1/events` and `POST /v1/dry-run`: events in, and what one would do."""

from __future__ import annotations

from typing import Final, cast

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agentflow.events import RawEvent
from processing.write.dry_run import DryRun
from quality.verdict import Accepted
from serving.answer import wire
from serving.api.context import Context, raw_response, respond, tenant_of
from serving.api.edge import Direct
from serving.api.event_results import ListDetail, detail_of, repeated_header, take_events
from serving.api.operation import operation
from serving.api.problems import Problem, ProblemError, unknown_parameters
from serving.api.replies import Reply, Scope
from serving.api.shapes import DryRunShape, EventsShape, MoveShape
from serving.intake import RepeatedHeaderError, binary_mode, structured
from serving.question import parse_query
from serving.units import unit_of

_EVENT_CODES: Final = (
    "event_rejected", "media_type_unsupported", "too_many_events", "parameter_invalid",
    "storage_full", "storage_failed", "backlog_full", "record_too_large", "header_invalid",
)  # fmt: skip
_DETAILS: Final = ("all", "errors")


def router(context: Context) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["events"])
    take = taker(context)

    @routes.post(
        "/v1/events",
        **operation(
            "Send events",
            EventsShape,
            *_EVENT_CODES,
            also={207: EventsShape},
            sends=True,
            free=True,
            extra={"x-events": "many"},
        ),
    )
    async def send_events(request: Request) -> Response:
        return raw_response(await take(request.scope, await request.body()))

    @routes.post(
        "/v1/dry-run",
        **operation(
            "Ask what an event would do",
            DryRunShape,
            "header_invalid",
            sends=True,
            extra={"x-events": "one"},
        ),
    )
    async def dry_run(request: Request) -> Response:
        body = await request.body()
        headers = request.scope["headers"]
        try:
            value = structured(headers, body) if binary_mode(headers) else body
        except RepeatedHeaderError as error:
            raise ProblemError(repeated_header(error)) from None
        platform = context.platform
        raw = RawEvent(value, tenant_of(request), platform.clock.now_us())
        await platform.refresh_large(raw.tenant)
        return respond(_shape(context, platform.dry_run(raw)))

    return routes


def taker(context: Context) -> Direct:
    """Return what takes events ahead of the framework."""
    platform = context.platform

    async def take(scope: Scope, body: bytes) -> Reply:
        detail = _detail(scope["query_string"])
        if isinstance(detail, Problem):
            return detail.reply(scope["request_id"])
        return await take_events(
            platform,
            platform.clock,
            context.offsets,
            tenant=scope["caller"].tenant,
            headers=scope["headers"],
            body=body,
            detail=detail,
            request_id=scope["request_id"],
        )

    return take


def _detail(query: bytes) -> ListDetail | Problem:
    if not query:
        return "all"
    given = parse_query(query)
    if unknown := given.keys() - {"detail"}:
        return unknown_parameters(sorted(unknown), ["detail"])
    if given["detail"] not in _DETAILS:
        message = 'parameter "detail" is neither "all" nor "errors"'
        return Problem("parameter_invalid", message, "Pass all or errors, or leave it out.")
    return cast("ListDetail", given["detail"])


def _shape(context: Context, result: DryRun) -> DryRunShape:
    verdict = result.verdict
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
                before=wire(move.before),
                after=wire(move.after),
                moved=wire(move.moved),
                unit=unit_of(move.plan, move.dimensions),
            )
            for move in result.moves
        ],
    )
