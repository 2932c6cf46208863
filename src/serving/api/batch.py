"""`POST /v1/batch`: several questions, answered from one instant."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import Field
from starlette.requests import Request

from agentflow.clock import to_rfc3339
from agentflow.dimension_values import spelled
from agentflow.errors import AgentFlowError
from serving.access.scopes import Scope
from serving.api.context import Context, respond, tenant_of
from serving.api.metrics import wait_for_token
from serving.api.resource import Resource
from serving.http.json_body import Body
from serving.http.problems import problem_of
from serving.http.replies import Reply
from serving.read.answer import Answer
from serving.read.group_pages import MAX_GROUPS
from serving.read.metric_query import MetricQuery, check_query

MAX_ITEMS = 100


class BatchShape(msgspec.Struct, frozen=True):
    """Several answers of one instant, in the order asked; one that failed is a problem."""

    token: str
    as_of: str
    answers: list[dict[str, Any]]


class BatchItem(Body):
    """One question."""

    metric: str = Field(max_length=200)
    window: str | None = Field(default=None, max_length=20)
    dimensions: dict[str, str | int | bool | None] = Field(default={}, max_length=64)
    by: list[str] = Field(default=[], max_length=16)
    limit: int | None = Field(default=None, ge=1, le=MAX_GROUPS)
    cursor: str | None = Field(default=None, max_length=8192)
    version: int | None = Field(default=None, ge=1, le=999_999_999)


class BatchBody(Body):
    """Several questions; `at_least` is a token that all answers must cover."""

    items: list[BatchItem] = Field(max_length=MAX_ITEMS)
    at_least: str | None = None


resource = Resource("metrics")


@resource.post(
    "/v1/batch", BatchShape, "token_invalid", "not_yet_visible", scope=Scope.METRICS_READ
)
async def read_batch(context: Context, request: Request, body: BatchBody) -> Reply:
    """Read several metrics at one instant."""
    await wait_for_token(context, request, body.at_least)
    context.platform.require_ready()
    tenant = tenant_of(request)
    items = [_query(context, item, request) for item in body.items]
    queries = [item for item in items if isinstance(item, MetricQuery)]
    async with context.answers.together(queries, tenant) as begun:
        now_us, token = context.platform.clock.now_us(), context.platform.tokens.now()
        answers = [(await each.finish()).answer for each in begun]
    rendered = iter(answers)
    found = [
        _rendered(next(rendered), now_us, token) if isinstance(item, MetricQuery) else item
        for item in items
    ]
    return respond(BatchShape(token, to_rfc3339(now_us), found))


def _query(context: Context, item: BatchItem, request: Request) -> MetricQuery | dict[str, object]:
    """Return a question, or its problem; the others are not concerned."""
    try:
        return check_query(
            context.definitions_of(request),
            item.metric,
            version=item.version,
            window=item.window,
            where={name: spelled(value) for name, value in item.dimensions.items()},
            by=tuple(item.by),
            limit=item.limit,
            cursor=item.cursor,
            cursors=context.groups_of(tenant_of(request)),
        )
    except AgentFlowError as error:
        request_id = request.scope["request_id"]
        problem: dict[str, object] = msgspec.to_builtins(problem_of(error).document(request_id))
        return problem


def _rendered(answer: Answer, now_us: int, token: str) -> dict[str, object]:
    """Return an answer with the token of all: they are one cut, whenever each was prepared."""
    rendered: dict[str, object] = msgspec.json.decode(answer.render(now_us))
    return {**rendered, "token": token}
