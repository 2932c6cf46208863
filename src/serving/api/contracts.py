"""`/v1/contracts`: versions, documents, differences, samples, publication."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import Field
from starlette.requests import Request

from agentflow.contracts import Contract, Registry, breaking, diff
from agentflow.errors import ParameterError, UnknownContractError
from agentflow.events import RawEvent
from agentflow.export import FORMATS, export
from agentflow.suggestions import nearest_and
from agentflow.wording import counted, quoted
from processing.publication.publishing import publish
from quality.verdict import Accepted
from serving.api.catalog import document_of
from serving.api.context import Context, respond, tenant_of, text_response
from serving.api.contract_parameters import json_body
from serving.api.event_results import detail_of
from serving.api.json_body import NoBody
from serving.api.keys import Scope
from serving.api.problems import Detail, Problem, ProblemError
from serving.api.replies import Reply
from serving.api.resource import Resource
from serving.api.shapes import (
    BackfilledMetric,
    ChangeShape,
    ContractShape,
    ContractsShape,
    ContractSummary,
    DiffShape,
    PublishedContract,
    PublishedShape,
    ValidationShape,
    VersionsShape,
)

Kind = Literal["event", "entity", "metric", "source"]
Version = Annotated[int, Field(ge=1, le=999_999_999)]
_MEDIA: Final = {"avsc": "application/json", "json": "application/schema+json",
                 "yaml": "application/yaml"}  # fmt: skip
_UNKNOWN: Final = (
    "event_unknown",
    "entity_unknown",
    "metric_unknown",
    "source_unknown",
    "parameter_invalid",
)
_FORMATS: Final = ("json", "yaml", *FORMATS)


resource = Resource("contracts")


@resource.get(
    "/v1/contracts",
    ContractsShape,
    "parameter_invalid",
)
async def list_contracts(context: Context, kind: Kind | None = None) -> Reply:
    """List contracts."""
    registry = context.platform.registry
    chosen = [item for item in registry.contracts() if kind in {None, item.kind}]
    return respond(ContractsShape([_summary(item, registry) for item in chosen]))


@resource.get(
    "/v1/contracts/diff",
    DiffShape,
    *_UNKNOWN,
)
async def compare_versions(
    context: Context,
    kind: Kind,
    name: Annotated[str, Field(max_length=200)],
    from_version: Annotated[int, Field(alias="from", ge=1, le=999_999_999)],
    to_version: Annotated[int, Field(alias="to", ge=1, le=999_999_999)],
) -> Reply:
    """Compare two versions."""
    registry = context.platform.registry
    before = pick(registry, kind, name, from_version)
    after = pick(registry, kind, name, to_version)
    return respond(difference(registry, before, after))


@resource.get(
    "/v1/contracts/{kind}/{name}",
    VersionsShape,
    *_UNKNOWN,
)
async def list_versions(context: Context, kind: Kind, name: str) -> Reply:
    """List versions."""
    registry = context.platform.registry
    current = pick(registry, kind, name, None)
    versions = [
        _summary(item, registry)
        for item in registry.contracts()
        if (item.kind, item.name) == (kind, current.name)
    ]
    return respond(VersionsShape(kind, current.name, current.version, versions))


@resource.get(
    "/v1/contracts/{kind}/{name}/{version}",
    ContractShape,
    *_UNKNOWN,
)
async def read_contract(
    context: Context,
    kind: Kind,
    name: str,
    version: Version,
    fmt: Annotated[str, Field(alias="format", json_schema_extra={"enum": list(_FORMATS)})] = "json",
) -> Reply:
    """Read a contract."""
    registry = context.platform.registry
    contract = pick(registry, kind, name, version)
    if fmt == "json":
        return respond(_shape(contract, registry))
    return document(contract, registry, fmt)


def _sample_body(_: Registry) -> dict[str, Any]:
    return {"requestBody": json_body({"type": "object"})}


@resource.post(
    "/v1/contracts/publish",
    PublishedShape,
    "contract_invalid",
    "contract_breaking",
    "storage_failed",
    scope=Scope.ADMIN,
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
    contract = context.platform.registry.event(event, version)
    return respond(_validated(context, contract.name, contract.version, tenant_of(request), body))


def pick(registry: Registry, kind: Kind, name: str, version: int | None) -> Contract:
    """Return one contract.

    Raises:
        UnknownContractError: There is none.
    """
    match kind:
        case "event":
            return registry.event(name, version)
        case "entity":
            return registry.entity(name, version)
        case "metric":
            return registry.metric(name, version)
        case "source":
            return registry.table(name, version)


def difference(registry: Registry, before: Contract, after: Contract) -> DiffShape:
    """Compare two versions as if the later one replaced the earlier one in place."""
    replaced = after.model_copy(update={"version": before.version})
    others = [item for item in registry.contracts() if item != before]
    changes = diff(Registry.of([*others, before]), Registry.of([*others, replaced]))
    return DiffShape(
        before.kind,
        before.name,
        before.version,
        after.version,
        bool(breaking(changes)),
        [
            ChangeShape(
                item.impact, item.path, item.message, list(item.metrics), list(item.entities)
            )
            for item in changes
        ],
    )


def document(contract: Contract, registry: Registry, fmt: str) -> Reply:
    """Return a contract as its file, or in the words of another tool.

    Raises:
        ParameterError: There is no such format, or not for that kind of contract.
    """
    if fmt == "yaml":
        return text_response(registry.source(contract).text, "application/yaml")
    if fmt not in _FORMATS:
        hint = nearest_and(fmt, _FORMATS, f"Known formats: {', '.join(_FORMATS)}.")
        raise ParameterError(f"export format {quoted(fmt)} does not exist", hint=hint)
    try:
        files = export(registry, fmt, name=f"{contract.name}@{contract.version}")
    except UnknownContractError:
        raise ParameterError(
            f"{contract.kind} contracts are not exported as {quoted(fmt)}",
            hint="Schemas, AsyncAPI and ODCS are of events, OSI and the reference of metrics.",
        ) from None
    whole = [name for name in files if not name.endswith(".data.schema.json")]
    name = whole[0]
    return text_response(files[name], _MEDIA.get(name.rpartition(".")[2], "text/plain"))


def _summary(contract: Contract, registry: Registry) -> ContractSummary:
    return ContractSummary(
        contract.kind,
        contract.name,
        contract.version,
        contract.status,
        contract.owner,
        contract.description,
        registry.fingerprint(contract),
    )


def _shape(contract: Contract, registry: Registry) -> ContractShape:
    return ContractShape(
        contract.kind,
        contract.name,
        contract.version,
        registry.fingerprint(contract),
        registry.source(contract).file,
        document_of(contract, registry),
    )


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
