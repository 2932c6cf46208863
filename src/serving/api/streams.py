"""`/v1/stream`: server-sent events of metrics and of accepted events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import StreamingResponse

from agentflow.contracts import Registry
from agentflow.errors import ParameterError, UnknownContractError
from processing.definitions import Definitions
from serving.access.scopes import Scope
from serving.api.context import Context, caller_name, encode, tenant_of
from serving.api.contract_parameters import LAST_EVENT_ID, Document, stream_description
from serving.api.resource import Resource
from serving.http.problems import problem_of
from serving.read.group_pages import MAX_GROUPS
from serving.read.metric_query import MetricQuery, check_query
from serving.read.query_string import LATEST_VERSION, parse_query, whole_number

MAX_METRICS: Final = 100
_NO_TYPE: Final = frozenset({""})
_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
RESERVED: Final = ("metric", "window", "by", "limit", "version", "last_event_id")


resource = Resource("streams")


def _resuming(_: Registry) -> Document:
    return {"parameters": [LAST_EVENT_ID]}


@resource.get(
    "/v1/stream/metrics",
    None,
    "metric_unknown",
    "window_unknown",
    "dimension_unknown",
    "parameter_invalid",
    "too_many_streams",
    scope=Scope.METRICS_READ,
    media="text/event-stream",
    free=True,
    describe=stream_description,
)
async def stream_metrics(context: Context, request: Request) -> StreamingResponse:
    """Follow metrics."""
    given = parse_query(request.scope["query_string"])
    request_id = request.scope["request_id"]
    stream = context.metric_streams.open(
        tenant_of(request),
        lambda: questions(context.definitions_of(request), given),
        last_id=_last_id(request, given.get("last_event_id")),
        told_why=lambda error: encode(problem_of(error).document(request_id)),
        subscriber=caller_name(request),
        ending=context.ending_of(request),
    )
    return _streaming(stream)


@resource.get(
    "/v1/stream/events",
    None,
    "event_unknown",
    "parameter_invalid",
    "token_invalid",
    "too_many_streams",
    scope=Scope.EVENTS_READ,
    media="text/event-stream",
    describe=_resuming,
)
async def stream_events(
    context: Context,
    request: Request,
    type: Annotated[str, Field(max_length=4096)] = "",  # noqa: A002 - the parameter's name
    start: Annotated[Literal["now", "start"], Field(alias="from")] = "now",
    last_event_id: Annotated[str | None, Field(max_length=4096)] = None,
) -> StreamingResponse:
    """Follow accepted events."""
    types = _types(context.registry_of(request), type)
    stream = context.event_streams.open(
        tenant_of(request),
        types=types,
        from_start=start == "start",
        last_id=_last_id(request, last_event_id),
        subscriber=caller_name(request),
        ending=context.ending_of(request),
    )
    return _streaming(stream)


def _types(registry: Registry, named: str) -> frozenset[str]:
    """Return the types of events that a stream has; none means all.

    Raises:
        UnknownContractError: One that is named does not exist for the caller.
    """
    types = frozenset(part for part in named.split(",") if part)
    for name in types:
        registry.event(name)
    if not registry.narrowed:
        return types
    shown = registry.events
    wanted = {str(ref) for ref in shown if not types or types & {ref.type, str(ref)}}
    return frozenset(wanted) or _NO_TYPE


def _last_id(request: Request, parameter: str | None) -> str | None:
    return request.headers.get("last-event-id") or parameter


def _streaming(stream: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(stream, media_type="text/event-stream", headers=_HEADERS)


def questions(definitions: Definitions, given: dict[str, str]) -> list[MetricQuery]:
    """Return one question for each metric; all share window and dimensions.

    Without `metric` it is every metric (its current version). A window that only some of them
    declare, or a dimension that only some have, is taken where it exists and must exist somewhere.

    Raises:
        ParameterError: There are too many metrics, or a parameter is malformed.
        UnknownContractError: There is no such metric.
        UnknownWindowError: None of the metrics has the window.
        UnknownDimensionError: One that was named has not got the dimension.
    """
    registry = definitions.registry
    named = [part for part in given.get("metric", "").split(",") if part]
    names = named or sorted({name for name, _ in registry.metrics})
    if len(names) > MAX_METRICS:
        raise ParameterError(f"a stream has at most {MAX_METRICS} metrics", hint="Open several.")
    where = {key: value for key, value in given.items() if key not in RESERVED}
    by = tuple(part for part in given.get("by", "").split(",") if part)
    limit = whole_number("limit", given.get("limit"), most=MAX_GROUPS)
    version = _version(given.get("version"), named)
    return [
        check_query(
            definitions,
            name,
            version=version,
            window=given.get("window"),
            where=where,
            by=by,
            limit=limit if by else None,
        )
        for name in dict.fromkeys(names)
        if named or _fits(registry, name, given.get("window"), (*where, *by))
    ] or _nothing_fits(names)


def _version(text: str | None, named: list[str]) -> int | None:
    version = whole_number("version", text, most=LATEST_VERSION)
    if version is not None and len(named) != 1:
        raise ParameterError(
            'parameter "version" goes with exactly one metric', hint="Name one metric."
        )
    return version


def _fits(registry: Registry, name: str, window: str | None, dimensions: tuple[str, ...]) -> bool:
    try:
        contract = registry.metric(name)
    except UnknownContractError:
        return False
    return window in {None, *contract.windows} and set(dimensions) <= set(contract.dimensions)


def _nothing_fits(names: list[str]) -> list[MetricQuery]:
    if not names:
        return []
    raise ParameterError(
        "no metric has that window and those dimensions", hint="GET /v1/metrics lists them."
    )
