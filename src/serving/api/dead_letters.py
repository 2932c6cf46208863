"""`/v1/deadletter`: what was refused, why, and sending it again."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Annotated, Final

import msgspec
import structlog
from pydantic import Field, JsonValue
from starlette.requests import Request

from agentflow.errors import NotFoundError, ParameterError
from control_store.triage.port import TriageStatus
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.dead_letters.triage import Criteria, Fix, Triaged
from processing.write.results import EventResult
from serving.access.callers import Caller
from serving.access.guard import missing_scope
from serving.access.scopes import Scope as KeyScope
from serving.api.context import Context, caller_name, realm_of, respond, tenant_of
from serving.api.event_results import detail_of
from serving.api.letters import DeadLetterShape, letter_shape
from serving.api.resource import Resource
from serving.http.json_body import Body, NoBody
from serving.http.problems import Detail, ProblemError
from serving.http.replies import Reply

Offset = Annotated[int, Field(ge=0, le=2**62)]
_FAR_US = 2**53
_FIXABLE: Final = re.compile(r"/data/|/(?:id|source|time|subject)\Z")
log = structlog.get_logger()


class DeadLettersShape(msgspec.Struct, frozen=True):
    """Dead letters, newest first.

    `counts` is by reason, of all there are; `open` of those neither replayed nor discarded.
    """

    dead_letters: list[DeadLetterShape]
    next_cursor: str | None
    counts: dict[str, int]
    open: dict[str, int]


class ReplayShape(msgspec.Struct, frozen=True):
    """What became of a dead letter that was sent again."""

    dead_letter: int
    status: str
    id: str | None
    type: str | None
    offset: int | None
    errors: list[Detail]


class ReplaysShape(msgspec.Struct, frozen=True):
    """What became of all that were sent again."""

    replayed: int
    refused: int
    results: list[ReplayShape]


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


resource = Resource("dead letters")
_CODES: Final = ("not_found", "parameter_invalid", "storage_full", "storage_failed")


@resource.get(
    "/v1/deadletter",
    DeadLettersShape,
    "parameter_invalid",
    "cursor_invalid",
    scope=KeyScope.DEAD_LETTERS_READ,
)
async def list_dead_letters(  # noqa: PLR0913, PLR0917 - one for each parameter
    context: Context,
    request: Request,
    reason: Annotated[str | None, Field(max_length=100)] = None,
    type: Annotated[str | None, Field(max_length=1024)] = None,  # noqa: A002
    status: TriageStatus | None = None,
    limit: Annotated[int, Field(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Field(max_length=200)] = None,
) -> Reply:
    """List dead letters."""
    tenant = tenant_of(request)
    question = ("deadletter", realm_of(request), reason or "", type or "", status or "")
    below = context.cursors.read(cursor, *question)
    letters = context.platform.dead_letters
    types = _types(context, request)
    criteria = Criteria(reason, type, status, types)
    found, more = await asyncio.to_thread(letters.page, tenant, criteria, below=below, limit=limit)
    counts = await asyncio.to_thread(_counts, context, tenant, types)
    closed = await asyncio.to_thread(letters.closed, tenant, types)
    return respond(
        DeadLettersShape(
            [letter_shape(context, request, item) for item in found],
            None if more is None else context.cursors.write(more, *question),
            counts,
            {
                reason: left
                for reason, count in counts.items()
                if (left := count - closed.get(reason, 0)) > 0
            },
        )
    )


@resource.get(
    "/v1/deadletter/{offset}",
    DeadLetterShape,
    "not_found",
    "parameter_invalid",
    "scope_missing",
    scope=KeyScope.DEAD_LETTERS_READ,
)
async def read_dead_letter(
    context: Context,
    request: Request,
    offset: Offset,
    reveal: bool = False,  # noqa: FBT001, FBT002 - a query parameter
) -> Reply:
    """Read a dead letter."""
    if reveal:
        _may_reveal(request)
    item = await asyncio.to_thread(_found, context, request, offset)
    if reveal:
        log.info("dead_letter.revealed", offset=item.offset, who=caller_name(request))
    return respond(letter_shape(context, request, item, reveal=reveal))


@resource.post("/v1/deadletter/replay", ReplaysShape, *_CODES, scope=KeyScope.TRIAGE)
async def replay_all(context: Context, request: Request, body: ReplayBody) -> Reply:
    """Send dead letters again."""
    criteria = Criteria(body.reason, body.type, types=_types(context, request))
    results = await context.platform.dead_letters.replay_all(
        tenant_of(request), criteria, who=caller_name(request)
    )
    shapes = [_replay(context, tenant_of(request), *each) for each in results]
    refused = sum(shape.status == "rejected" for shape in shapes)
    return respond(ReplaysShape(len(shapes) - refused, refused, shapes))


@resource.post("/v1/deadletter/{offset}/fix", ReplayShape, *_CODES, scope=KeyScope.TRIAGE)
async def fix(context: Context, request: Request, offset: Offset, body: FixBody) -> Reply:
    """Correct a dead letter and send it."""
    if (body.event is None) == (not body.set and not body.remove):
        raise ParameterError(
            'a fix is either a whole "event", or members to "set" and "remove"',
            hint='As in {"set": {"/data/amount": "1.00"}}.',
        )
    item = await asyncio.to_thread(_found, context, request, offset)
    if _types(context, request) is not None:
        _require_same_type(item, body)
    result = await context.platform.dead_letters.fix(
        item.letter.tenant,
        item.offset,
        Fix(event=body.event, changes=body.set, removals=body.remove, note=body.note),
        who=caller_name(request),
    )
    return respond(_replay(context, item.letter.tenant, item.offset, result))


@resource.post("/v1/deadletter/{offset}/replay", ReplayShape, *_CODES, scope=KeyScope.TRIAGE)
async def replay(context: Context, request: Request, offset: Offset, _body: NoBody) -> Reply:
    """Send a dead letter again as it is."""
    item = await asyncio.to_thread(_found, context, request, offset)
    result = await context.platform.dead_letters.replay(
        item.letter.tenant, item.offset, who=caller_name(request)
    )
    return respond(_replay(context, item.letter.tenant, item.offset, result))


@resource.post("/v1/deadletter/{offset}/discard", DeadLetterShape, *_CODES, scope=KeyScope.TRIAGE)
async def discard(context: Context, request: Request, offset: Offset, body: DiscardBody) -> Reply:
    """Decide not to fix it."""
    found = await asyncio.to_thread(_found, context, request, offset)
    item = await asyncio.to_thread(
        context.platform.dead_letters.discard,
        found.letter.tenant,
        found.offset,
        who=caller_name(request),
        note=body.note,
    )
    return respond(letter_shape(context, request, item))


def _may_reveal(request: Request) -> None:
    """Check that the caller may see what is masked.

    Raises:
        ProblemError: The key lacks the scope.
    """
    caller: Caller = request.scope["caller"]
    if KeyScope.ADMIN not in caller.scopes:
        raise ProblemError(missing_scope(KeyScope.ADMIN))


def _types(context: Context, request: Request) -> frozenset[str] | None:
    """Return the types of events whose dead letters exist for the caller; None means any."""
    registry = context.registry_of(request)
    return frozenset(ref.type for ref in registry.events) if registry.narrowed else None


def _require_same_type(item: Triaged, body: FixBody) -> None:
    """Check that a fix leaves the type as it is, for a caller who may not send every type.

    Raises:
        ParameterError: It may make another event of it.
    """
    places = [*body.set, *body.remove]
    same = body.event is None or (
        body.event.get("type") == item.letter.type and "dataversion" not in body.event
    )
    if not same or not all(_FIXABLE.match(place) for place in places):
        raise ParameterError(
            "with this key a fix may change the data, id, source, time and subject of an event",
            hint='As in {"set": {"/data/amount": "1.00"}}; leave its type as it is.',
        )


def _counts(context: Context, tenant: str, types: frozenset[str] | None) -> dict[str, int]:
    """Count dead letters by reason; reads the lake and the tail of the log."""
    counts: Counter[str] = Counter()
    history = context.platform.history
    for row in history.dead_letters(tenant, start_us=0, end_us=_FAR_US):
        if types is None or row.type in types:
            counts[row.reason] += row.count
    return dict(counts.most_common())


def _found(context: Context, request: Request, number: int) -> Triaged:
    """Return the dead letter that the caller knows by *number*.

    Raises:
        NotFoundError: The caller's tenant has none.
    """
    tenant, types = tenant_of(request), _types(context, request)
    offset = context.offsets.meant(tenant, DEAD_LETTERS, number)
    try:
        found = context.platform.dead_letters.get(tenant, offset)
    except NotFoundError:
        found = None
    if found is None or (types is not None and found.letter.type not in types):
        raise NotFoundError(
            f"dead letter {number} does not exist", hint="List them with GET /v1/deadletter."
        )
    return found


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
