"""`/v1/contracts`: versions, documents, differences."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import Field
from starlette.requests import Request

from agentflow.contracts import Contract, EventContract, Registry, breaking, diff
from agentflow.errors import ParameterError, UnknownContractError
from agentflow.export import FORMATS, export
from agentflow.suggestions import nearest_and
from agentflow.wording import quoted
from serving.api.catalog import document_of
from serving.api.context import Context, respond, text_response
from serving.api.resource import Resource
from serving.http.replies import Reply

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


class ContractSummary(msgspec.Struct, frozen=True):
    """One version of one contract."""

    kind: str
    name: str
    version: int
    status: str
    owner: str
    description: str
    fingerprint: str


class ContractsShape(msgspec.Struct, frozen=True):
    """Contracts, by kind, name and version."""

    contracts: list[ContractSummary]


class VersionsShape(msgspec.Struct, frozen=True):
    """The versions of one contract; `current` is used when none is named."""

    kind: str
    name: str
    current: int
    versions: list[ContractSummary]


class ContractShape(msgspec.Struct, frozen=True):
    """One version of one contract, whole."""

    kind: str
    name: str
    version: int
    fingerprint: str
    file: str
    contract: dict[str, Any]


class ChangeShape(msgspec.Struct, frozen=True):
    """One difference between two versions, and what it hits."""

    impact: str
    path: str
    message: str
    metrics: list[str]
    entities: list[str]


class DiffShape(msgspec.Struct, frozen=True):
    """What changed between two versions of a contract."""

    kind: str
    name: str
    from_version: int = msgspec.field(name="from")
    to_version: int = msgspec.field(name="to")
    breaking: bool
    changes: list[ChangeShape]


resource = Resource("contracts")


@resource.get("/v1/contracts", ContractsShape, "parameter_invalid")
async def list_contracts(context: Context, request: Request, kind: Kind | None = None) -> Reply:
    """List contracts."""
    registry = context.registry_of(request)
    chosen = [item for item in registry.contracts() if kind in {None, item.kind}]
    return respond(ContractsShape([_summary(item, registry) for item in chosen]))


@resource.get("/v1/contracts/diff", DiffShape, *_UNKNOWN)
async def compare_versions(
    context: Context,
    request: Request,
    kind: Kind,
    name: Annotated[str, Field(max_length=200)],
    from_version: Annotated[int, Field(alias="from", ge=1, le=999_999_999)],
    to_version: Annotated[int, Field(alias="to", ge=1, le=999_999_999)],
) -> Reply:
    """Compare two versions."""
    registry = context.registry_of(request)
    before = pick(registry, kind, name, from_version)
    after = pick(registry, kind, name, to_version)
    return respond(difference(registry, before, after))


@resource.get("/v1/contracts/{kind}/{name}", VersionsShape, *_UNKNOWN)
async def list_versions(context: Context, request: Request, kind: Kind, name: str) -> Reply:
    """List versions."""
    registry = context.registry_of(request)
    current = pick(registry, kind, name, None)
    versions = [
        _summary(item, registry)
        for item in registry.contracts()
        if (item.kind, item.name) == (kind, current.name)
    ]
    return respond(VersionsShape(kind, current.name, current.version, versions))


@resource.get("/v1/contracts/{kind}/{name}/{version}", ContractShape, *_UNKNOWN)
async def read_contract(
    context: Context,
    request: Request,
    kind: Kind,
    name: str,
    version: Version,
    fmt: Annotated[str, Field(alias="format", json_schema_extra={"enum": list(_FORMATS)})] = "json",
) -> Reply:
    """Read a contract."""
    registry = context.registry_of(request)
    contract = pick(registry, kind, name, version)
    if fmt == "json":
        return respond(_shape(contract, registry))
    return document(contract, registry, fmt)


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
    others = [item for item in (*registry.contracts(), *_read(registry)) if item != before]
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


def _read(registry: Registry) -> list[EventContract]:
    """Return the events that contracts read which are shown, and that are not shown themselves."""
    events = registry.events
    refs = {ref for metric in registry.metrics.values() for ref in metric.refs}
    refs |= {each.ref for entity in registry.entities.values() for each in entity.sources}
    refs |= {event.corrects.ref for event in events.values() if event.corrects is not None}
    return [events[ref] for ref in sorted(refs) if ref not in events]


def document(contract: Contract, registry: Registry, fmt: str) -> Reply:
    """Return a contract as its file, or in the words of another tool.

    Raises:
        ParameterError: The format does not exist, or not for that kind of contract.
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
