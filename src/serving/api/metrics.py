"""`/v1/metrics`: what is declared, and the value of one."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

import msgspec
from starlette.requests import Request

from agentflow.clock import to_rfc3339
from agentflow.contracts import MetricContract
from agentflow.errors import UnknownDimensionError
from agentflow.metrics import parse_window
from agentflow.metrics.sql import metric_query
from agentflow.suggestions import did_you_mean
from agentflow.wording import quoted
from processing.verification.checks import Check
from processing.verification.checks import question as recompute_of
from processing.verification.proofs import Proof, WindowCheck
from serving.access.scopes import Scope
from serving.api.context import Context, encode, may_see_all_tenants, respond, tenant_of
from serving.api.contract_parameters import read_description
from serving.api.resource import Resource
from serving.http.entity_tags import CACHE_CONTROL, NO_STORE, deprecation, matches
from serving.http.replies import JSON, Headers, Reply, header
from serving.read.answer_document import AnswerShape, RecomputeShape, rendered
from serving.read.metric_query import MetricQuery, check_query
from serving.read.past import answer_past, span_of
from serving.read.prepared import PreparedAnswer
from serving.read.query_string import RESERVED, MetricParameters, parse_metric_parameters

MAX_WAIT_SECONDS: Final = 30.0
_WAIT: Final = re.compile(rb"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,4}(?:\.[0-9]{1,3})?)")
_UNITS: Final = ((86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"))
READ_CODES: Final = (
    "metric_unknown", "window_unknown", "dimension_unknown", "parameter_invalid", "token_invalid",
    "cursor_invalid", "instant_out_of_range", "not_yet_visible", "storage_failed",
)  # fmt: skip


class WindowShape(msgspec.Struct, frozen=True):
    """A window a metric declares. `step` is how far it moves at a time; null if it never does."""

    name: str
    step: str | None


class MetricShape(msgspec.Struct, frozen=True):
    """What a metric means and how it may be asked."""

    name: str
    version: int
    status: str
    unit: str
    description: str
    owner: str
    windows: list[WindowShape]
    dimensions: list[str]
    moved_by: list[str]
    freshness: dict[str, str]
    fingerprint: str
    tags: list[str]
    value: str
    sunset: str | None


class MetricsShape(msgspec.Struct, frozen=True):
    """Every version of every metric."""

    metrics: list[MetricShape]


resource = Resource("metrics")


@resource.get("/v1/metrics", MetricsShape, scope=Scope.METRICS_READ)
async def list_metrics(context: Context, request: Request) -> Reply:
    """List the metrics."""
    registry = context.registry_of(request)
    found = [shape_of(item, registry.fingerprint(item)) for item in registry.metrics.values()]
    return respond(MetricsShape(found))


@resource.get(
    "/v1/metrics/{name}",
    AnswerShape,
    *READ_CODES,
    scope=Scope.METRICS_READ,
    free=True,
    describe=read_description,
)
async def read_metric(context: Context, request: Request, name: str) -> Reply:
    """Read a metric."""
    parameters = parse_metric_parameters(name, request.scope["query_string"])
    query = checked(context, parameters, request)
    if parameters.at_least is not None:
        await wait_for_token(context, request, parameters.at_least)
        query = checked(context, parameters, request)  # contracts may have changed meanwhile
    if parameters.explain is not None:
        return await _explained(
            context, query, tenant_of(request), counted=may_see_all_tenants(request)
        )
    if not parameters.live and not _only_waits(parameters):
        return await _past(context, query, tenant_of(request), parameters)
    prepared = await context.answers.get(query, tenant_of(request))
    return live_response(context, prepared, header(request.scope, b"if-none-match"))


def checked(context: Context, parameters: MetricParameters, request: Request) -> MetricQuery:
    """Check a question against the contracts in force that exist for the caller.

    A parameter that is neither reserved nor a dimension may be a misspelt one of both.
    """
    try:
        return check_query(
            context.definitions_of(request),
            parameters.name,
            version=parameters.version,
            window=parameters.window,
            where=parameters.where,
            by=parameters.by,
            limit=parameters.limit,
            cursor=parameters.cursor,
            cursors=context.groups_of(tenant_of(request)),
        )
    except UnknownDimensionError as error:
        unknown = next((name for name in parameters.where if quoted(name) in str(error)), None)
        if unknown is not None and (meant := did_you_mean(unknown, RESERVED, what="the parameter")):
            error.hint = f"{meant} {error.hint}"
        raise


async def wait_for_token(context: Context, request: Request, token: str | None) -> None:
    """Wait, as long as `Prefer: wait=…` allows, until a token is covered.

    Raises:
        TokenError: It is malformed or belongs to another log.
        NotYetVisibleError: It took longer.
    """
    if token is None:
        return
    context.platform.require_ready()
    preference = _WAIT.search(header(request.scope, b"prefer") or b"")
    seconds = min(float(preference[1]), MAX_WAIT_SECONDS) if preference else 0.0
    await context.platform.tokens.reach(token, within=timedelta(seconds=seconds))


def _only_waits(parameters: MetricParameters) -> bool:
    return parameters.grain is None and parameters.start_us is None and parameters.as_of_us is None


def live_response(context: Context, prepared: PreparedAnswer, condition: bytes | None) -> Reply:
    """Return a live answer, or 304 when its reader has it."""
    headers = response_headers(prepared)
    if condition is not None and matches(condition, prepared.etag):
        return Reply(304, tuple(headers), b"")
    body = prepared.answer.render(context.platform.clock.now_us())
    return Reply(200, (JSON, *headers), body)


def response_headers(prepared: PreparedAnswer) -> Headers:
    """Return the validators of an answer, and whether its metric is on its way out."""
    contract = prepared.query.plan.contract
    return [
        (b"etag", prepared.etag),
        CACHE_CONTROL,
        *deprecation(contract.status, contract.sunset),
    ]


async def _past(
    context: Context, query: MetricQuery, tenant: str, parameters: MetricParameters
) -> Reply:
    span = span_of(
        query,
        now_us=context.platform.clock.now_us(),
        start_us=parameters.start_us,
        end_us=parameters.end_us,
        as_of_us=parameters.as_of_us,
        grain=parameters.grain,
    )
    answer = await answer_past(context.platform, query, tenant, span, offsets=context.offsets)
    contract = query.plan.contract
    return respond(answer, headers=deprecation(contract.status, contract.sunset))


async def _explained(context: Context, query: MetricQuery, tenant: str, *, counted: bool) -> Reply:
    """Answer, and compute the same cut again from the lake alone."""
    platform = context.platform
    platform.require_ready()
    window = WindowCheck(tenant, query.plan, query.window)
    async with context.answers.together([query], tenant) as (begun,):
        proof = Proof(
            platform.verification, window, by=query.by, where=query.where
        )  # of the same instant
        try:
            answer = (await begun.finish()).answer
            check = await proof.check()
        finally:
            proof.close()
    sql = metric_query(query.plan, recompute_of(check.cut), events=platform.registry.events)
    recompute = RecomputeShape(
        value=_recomputed(check),
        equal=check.equal,
        rows=check.events,
        snapshots=_snapshots(context, query) if counted else None,
        ms=round(check.seconds * 1000, 3),
        sql=sql.text,
    )
    contract = query.plan.contract
    text = answer.render(platform.clock.now_us())  # an object, which gets one name more
    body = b'%b,"recompute":%b}' % (text.removesuffix(b"}"), encode(recompute))
    headers = deprecation(contract.status, contract.sunset)
    return Reply(200, (JSON, NO_STORE, *headers), body)


def _recomputed(check: Check) -> int | str | None:
    """Return the recomputed value; null where there is one for each currency."""
    return rendered(check.totals[0].recomputed) if len(check.totals) == 1 else None


def _snapshots(context: Context, query: MetricQuery) -> dict[str, int]:
    return dict(context.platform.lineage.snapshots(query.plan.contract.refs))


def shape_of(contract: MetricContract, fingerprint: str) -> MetricShape:
    """Return a metric as the list shows it."""
    return MetricShape(
        name=contract.name,
        version=contract.version,
        status=contract.status,
        unit=contract.unit,
        description=contract.description,
        owner=contract.owner,
        windows=[WindowShape(name, step_of(name)) for name in contract.windows],
        dimensions=list(contract.dimensions),
        moved_by=list(contract.moved_by),
        freshness={"p95": contract.freshness.p95},
        fingerprint=fingerprint,
        tags=list(contract.tags),
        value=contract.value,
        sunset=contract.sunset,
    )


def step_of(window: str) -> str | None:
    """Return how far a window moves at a time, as contracts write lengths.

    >>> step_of("1h"), step_of("24h"), step_of("all")
    ('1m', '15m', None)
    """
    step_us = parse_window(window).step_us
    for length_us, unit in _UNITS:
        if step_us and step_us % length_us == 0:
            return f"{step_us // length_us}{unit}"
    return None


def instant_text(instant_us: int | None) -> str | None:
    """Return an instant as text; None stays None."""
    return None if instant_us is None else to_rfc3339(instant_us)
