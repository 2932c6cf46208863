"""`/v1/contracts/publish` and `…/validate`: contracts put in force, and samples judged by them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from pydantic import Field
from starlette.requests import Request

from agentflow.contracts import Registry, breaking, diff
from agentflow.events import RawEvent
from agentflow.wording import counted
from processing.publication.publishing import publish
from quality.verdict import Accepted
from serving.access.scopes import Scope
from serving.api.context import Context, respond, tenant_of
from serving.api.contract_parameters import json_body
from serving.api.event_results import detail_of
from serving.api.resource import Resource
from serving.http.json_body import NoBody
from serving.http.problems import Detail, Problem, ProblemError
from serving.http.replies import Reply


class ValidationShape(msgspec.Struct, frozen=True):
    """Whether a sample fits an event contract; `data` has the derived fields too."""

    valid: bool
    version: int | None
    errors: list[Detail]
    warnings: list[Detail]
    data: dict[str, Any] | None


class PublishedContract(msgspec.Struct, frozen=True):
    """A contract that is new, or means something new."""

    kind: str
    name: str
    version: int
    change: str


class BackfilledMetric(msgspec.Struct, frozen=True):
    """A metric computed from history and compared before it was put in force."""

    metric: str
    version: int
    backfilled_events: int
    compared: int
    equal: bool
    catch_up_ms: float


class PublishedShape(msgspec.Struct, frozen=True):
    """What a publication did."""

    published: list[PublishedContract]
    metrics: list[BackfilledMetric]
    removed: list[str]


resource = Resource("contracts")


def _sample_body(_: Registry) -> dict[str, Any]:
    return {"requestBody": json_body({"type": "object"})}


@resource.post(
    "/v1/contracts/publish",
    PublishedShape,
    "contract_invalid",
    "contract_breaking",
    "storage_failed",
    scope=Scope.PUBLISH,
)
async def publish_contracts(context: Context, _body: NoBody) -> Reply:
    """Put the contract files in force."""
    registry = await asyncio.to_thread(context.load_contracts)
    _refuse_breaking(context.platform.registry, registry)
    published = await publish(context.platform, registry)
    return respond(
        PublishedShape(
            published=[
                PublishedContract(item.kind, item.name, item.version, item.summary)
                for item in published.changes
            ],
            metrics=[
                BackfilledMetric(
                    metric=item.metric[0],
                    version=item.metric[1],
                    backfilled_events=item.events,
                    compared=item.numbers,
                    equal=True,
                    catch_up_ms=item.catch_up_ms,
                )
                for item in published.metrics
            ],
            removed=[f"{name}@{version}" for name, version in published.removed],
        )
    )


@resource.post(
    "/v1/contracts/{event}/validate",
    ValidationShape,
    "event_unknown",
    "parameter_invalid",
    "body_invalid",
    scope=Scope.READ,
    describe=_sample_body,
)
async def validate_sample(
    context: Context,
    request: Request,
    body: bytes,
    event: str,
    version: Annotated[int | None, Field(ge=1, le=999_999_999)] = None,
) -> Reply:
    """Judge a sample of an event's data."""
    contract = context.registry_of(request).event(event, version)
    return respond(_validated(context, contract.name, contract.version, tenant_of(request), body))


def _refuse_breaking(old: Registry, new: Registry) -> None:
    broken = breaking(diff(old, new))
    if broken:
        errors = tuple(Detail("contract_breaking", str(item), pointer=item.path) for item in broken)
        raise ProblemError(
            Problem(
                "contract_breaking",
                f"{counted(len(broken), 'change')} would break readers; nothing was published",
                "Give a breaking change a new major version beside the old one.",
                errors,
            )
        )


def _validated(
    context: Context, name: str, version: int, tenant: str, body: bytes
) -> ValidationShape:
    sample = _sample(body)
    event = msgspec.json.encode(
        {"type": name, "dataversion": version, "data": sample, "id": "sample", "source": "sample"}
    )
    verdict = context.platform.judge(RawEvent(event, tenant, context.platform.clock.now_us()))
    if isinstance(verdict, Accepted):
        warnings = [detail_of(item) for item in verdict.warnings]
        data = context.documents.data(verdict.event)
        return ValidationShape(valid=True, version=version, errors=[], warnings=warnings, data=data)
    errors = [detail_of(item) for item in verdict.violations]
    return ValidationShape(valid=False, version=version, errors=errors, warnings=[], data=None)


def _sample(body: bytes) -> msgspec.Raw:
    """Return the sample as it was written: numbers keep their digits.

    Raises:
        ProblemError: It is not JSON.
    """
    try:
        sample: Any = msgspec.json.decode(body, type=msgspec.Raw)
        bytes(sample).decode()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        message = "the sample is not JSON"
        raise ProblemError(
            Problem("malformed_json", message, "Send the event's data as one JSON object.")
        ) from None
    raw: msgspec.Raw = sample
    return raw
