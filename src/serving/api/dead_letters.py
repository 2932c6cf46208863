"""`/v1/deadletter`: what was refused, why, and sending it again."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated

import structlog
from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from pydantic import Field, JsonValue
from starlette.requests import Request
from starlette.responses import Response

from agentflow.errors import NotFoundError, ParameterError
from ingestion.control.port import TriageStatus
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.dead_letters.triage import Criteria, Fix, Triaged
from processing.write.results import EventResult
from serving.api.context import Context, respond, tenant_of, who
from serving.api.event_results import detail_of
from serving.api.guard import missing_scope
from serving.api.json_body import Body, body_of, no_body
from serving.api.keys import Caller
from serving.api.keys import Scope as KeyScope
from serving.api.letters import letter_shape
from serving.api.operation import operation
from serving.api.problems import ProblemError
from serving.api.shapes import DeadLetterShape, DeadLettersShape, ReplayShape, ReplaysShape

Offset = Annotated[int, PathParameter(ge=0, le=2**62)]
_FAR_US = 2**53
log = structlog.get_logger()


class FixBody(Body):
    """A correction: a whole event, or members to set and to remove by JSON pointer."""

    event: dict[str, JsonValue] | None = None
    set: dict[str, JsonValue] = Field(default={}, max_length=100)
    remove: list[str] = Field(default=[], max_length=100)
    note: str = Field(default="", max_length=1000)


class ReplayBody(Body):
    """Which dead letters to send again; all that are open when nothing is said."""

    reason: str | None = Field(default=None, max_length=100)
    type: str | None = Field(default=None, max_length=1024)


class DiscardBody(Body):
    """Why it is not worth fixing."""

    note: str = Field(default="", max_length=1000)


def router(context: Context) -> APIRouter:
    """Return the routes that read."""
    routes = APIRouter(tags=["dead letters"])

    @routes.get(
        "/v1/deadletter",
        **operation("List dead letters", DeadLettersShape, "parameter_invalid", "cursor_invalid"),
    )
    async def list_dead_letters(
        request: Request,
        reason: Annotated[str | None, Query(max_length=100)] = None,
        type: Annotated[str | None, Query(max_length=1024)] = None,  # noqa: A002
        status: TriageStatus | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
    ) -> Response:
        tenant = tenant_of(request)
        question = ("deadletter", tenant, reason or "", type or "", status or "")
        below = context.cursors.read(cursor, *question)
        letters = context.platform.dead_letters
        criteria = Criteria(reason, type, status)
        found, more = await asyncio.to_thread(
            letters.page, tenant, criteria, below=below, limit=limit
        )
        counts = await asyncio.to_thread(_counts, context, tenant)
        closed = await asyncio.to_thread(letters.closed, tenant)
        return respond(
            DeadLettersShape(
                [letter_shape(context, item) for item in found],
                None if more is None else context.cursors.write(more, *question),
                counts,
                {
                    reason: left
                    for reason, count in counts.items()
                    if (left := count - closed.get(reason, 0)) > 0
                },
            )
        )

    @routes.get(
        "/v1/deadletter/{offset}",
        **operation(
            "Read a dead letter", DeadLetterShape, "not_found", "parameter_invalid", "scope_missing"
        ),
    )
    async def read_dead_letter(
        offset: Offset,
        request: Request,
        reveal: Annotated[bool, Query()] = False,  # noqa: FBT002 - a query parameter
    ) -> Response:
        if reveal:
            _may_reveal(request)
        item = _found(context, request, offset)
        if reveal:
            log.info("dead_letter.revealed", offset=item.offset, who=who(request))
        return respond(letter_shape(context, item, reveal=reveal))

    return routes


def writing_router(context: Context) -> APIRouter:
    """Return the routes that decide."""
    routes = APIRouter(tags=["dead letters"])
    codes = ("not_found", "parameter_invalid", "storage_full", "storage_failed")

    @routes.post(
        "/v1/deadletter/replay",
        **operation("Send dead letters again", ReplaysShape, *codes, body=ReplayBody),
    )
    async def replay_all(request: Request) -> Response:
        body = await body_of(request, ReplayBody)
        criteria = Criteria(body.reason, body.type)
        results = await context.platform.dead_letters.replay_all(
            tenant_of(request), criteria, who=who(request)
        )
        shapes = [_replay(context, tenant_of(request), *each) for each in results]
        refused = sum(shape.status == "rejected" for shape in shapes)
        return respond(ReplaysShape(len(shapes) - refused, refused, shapes))

    @routes.post(
        "/v1/deadletter/{offset}/fix",
        **operation("Correct a dead letter and send it", ReplayShape, *codes, body=FixBody),
    )
    async def fix(offset: Offset, request: Request) -> Response:
        body = await body_of(request, FixBody)
        if (body.event is None) == (not body.set and not body.remove):
            raise ParameterError(
                'a fix is either a whole "event", or members to "set" and "remove"',
                hint='As in {"set": {"/data/amount": "1.00"}}.',
            )
        item = _found(context, request, offset)
        result = await context.platform.dead_letters.fix(
            item.letter.tenant,
            item.offset,
            Fix(event=body.event, changes=body.set, removals=body.remove, note=body.note),
            who=who(request),
        )
        return respond(_replay(context, item.letter.tenant, item.offset, result))

    @routes.post(
        "/v1/deadletter/{offset}/replay",
        **operation("Send a dead letter again as it is", ReplayShape, *codes, "body_invalid",
                    sends=True, extra={"x-body": "none"}),
    )  # fmt: skip
    async def replay(offset: Offset, request: Request) -> Response:
        await no_body(request)
        item = _found(context, request, offset)
        result = await context.platform.dead_letters.replay(
            item.letter.tenant, item.offset, who=who(request)
        )
        return respond(_replay(context, item.letter.tenant, item.offset, result))

    @routes.post(
        "/v1/deadletter/{offset}/discard",
        **operation("Decide not to fix it", DeadLetterShape, *codes, body=DiscardBody),
    )
    async def discard(offset: Offset, request: Request) -> Response:
        body = await body_of(request, DiscardBody)
        found = _found(context, request, offset)
        item = context.platform.dead_letters.discard(
            found.letter.tenant, found.offset, who=who(request), note=body.note
        )
        return respond(letter_shape(context, item))

    return routes


def _may_reveal(request: Request) -> None:
    """Check that the caller may see what is masked.

    Raises:
        ProblemError: The key lacks the scope.
    """
    caller: Caller = request.scope["caller"]
    if KeyScope.ADMIN not in caller.scopes:
        raise ProblemError(missing_scope(KeyScope.ADMIN))


def _counts(context: Context, tenant: str) -> dict[str, int]:
    """Count dead letters by reason; reads the lake and the tail of the log."""
    counts: Counter[str] = Counter()
    history = context.platform.parts.history
    for row in history.dead_letters(tenant, start_us=0, end_us=_FAR_US):
        counts[row.reason] += row.count
    return dict(counts.most_common())


def _found(context: Context, request: Request, number: int) -> Triaged:
    """Return the dead letter that the caller knows by *number*.

    Raises:
        NotFoundError: The caller's tenant has none.
    """
    tenant = tenant_of(request)
    offset = context.offsets.meant(tenant, DEAD_LETTERS, number)
    try:
        return context.platform.dead_letters.get(tenant, offset)
    except NotFoundError as error:
        raise NotFoundError(f"dead letter {number} does not exist", hint=error.hint) from None


def _replay(context: Context, tenant: str, offset: int, result: EventResult) -> ReplayShape:
    rejected = result.status == "rejected"
    seen = context.offsets
    return ReplayShape(
        dead_letter=seen.shown(tenant, DEAD_LETTERS, offset),
        status=result.status,
        id=result.id,
        type=result.type,
        offset=seen.shown_or_none(tenant, VALIDATED, result.offset),
        errors=[detail_of(item) for item in result.violations] if rejected else [],
    )
