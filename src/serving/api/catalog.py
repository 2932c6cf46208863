"""`/v1/catalog`, `/v1/graph`, `/v1/search`: the contracts as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from pydantic import Field
from starlette.requests import Request

from agentflow.contracts import Contract, EventContract, Node, Registry, graph
from agentflow.contracts.graph import NodeKind, node_of
from serving.api.context import Context, respond
from serving.api.resource import Resource
from serving.http.replies import Reply

MAX_HITS: Final = 50


class CatalogShape(msgspec.Struct, frozen=True):
    """Every contract in force, whole."""

    events: list[dict[str, Any]]
    entities: list[dict[str, Any]]
    metrics: list[dict[str, Any]]


class NodeShape(msgspec.Struct, frozen=True):
    """A contract or a dimension, as a node."""

    id: str
    kind: str
    name: str
    version: int | None
    status: str | None


class EdgeShape(msgspec.Struct, frozen=True):
    """An arrow, in the direction in which change flows."""

    source: str = msgspec.field(name="from")
    target: str = msgspec.field(name="to")
    kind: str
    fields: list[str]


class GraphShape(msgspec.Struct, frozen=True):
    """Which event moves which metric and sets which entity."""

    nodes: list[NodeShape]
    edges: list[EdgeShape]


class Hit(msgspec.Struct, frozen=True):
    """Something that was found. `match` is the text it was found by."""

    kind: str
    name: str
    version: int | None
    match: str
    url: str


class SearchShape(msgspec.Struct, frozen=True):
    """What was found, best first."""

    hits: list[Hit]


resource = Resource("contracts")


@resource.get("/v1/catalog", CatalogShape)
async def read_catalog(context: Context, request: Request) -> Reply:
    """Read every contract in force."""
    registry = context.registry_of(request)
    return respond(
        CatalogShape(
            events=[document_of(item, registry) for item in registry.events.values()],
            entities=[document_of(item, registry) for item in registry.entities.values()],
            metrics=[document_of(item, registry) for item in registry.metrics.values()],
        )
    )


@resource.get("/v1/graph", GraphShape)
async def read_graph(context: Context, request: Request) -> Reply:
    """See what moves what."""
    return respond(_graph(context.platform.registry, context.registry_of(request)))


@resource.get("/v1/search", SearchShape, "parameter_invalid")
async def search(
    context: Context, request: Request, q: Annotated[str, Field(min_length=1, max_length=200)]
) -> Reply:
    """Find contracts, fields and metrics."""
    return respond(SearchShape(found(context.registry_of(request), q)))


def document_of(contract: Contract, registry: Registry) -> dict[str, object]:
    """Return a whole contract with its fingerprint."""
    document: dict[str, object] = contract.model_dump(mode="json")
    document["fingerprint"] = registry.fingerprint(contract)
    return document


def _graph(registry: Registry, shown: Registry) -> GraphShape:
    """Return the graph of all contracts, or the part of it that joins what is shown."""
    known = graph(registry)
    if shown.narrowed:
        known = known.within({node_of(each) for each in shown.contracts() if each.kind != "source"})
    status: dict[tuple[NodeKind, str], str] = {
        (contract.kind, f"{contract.name}@{contract.version}"): contract.status
        for contract in registry.contracts()
        if contract.kind != "source"
    }
    return GraphShape(
        nodes=[_node(node, status.get((node.kind, node.name))) for node in known.nodes],
        edges=[
            EdgeShape(_id(edge.source), _id(edge.target), edge.kind, list(edge.fields))
            for edge in known.edges
        ],
    )


def _node(node: Node, status: str | None) -> NodeShape:
    name, _, version = node.name.partition("@")
    return NodeShape(_id(node), node.kind, name, int(version) if version else None, status)


def _id(node: Node) -> str:
    return f"{node.kind}:{node.name}"


def found(registry: Registry, query: str) -> list[Hit]:
    """Return what matches every word of *query*: names first, then fields, then descriptions."""
    words = query.lower().split()
    ranked = [
        (rank, hit)
        for contract in registry.contracts()
        for rank, hit in _hits(contract)
        if all(word in hit.match.lower() for word in words)
    ]
    ranked.sort(key=lambda item: (item[0], len(item[1].match), item[1].name))
    best: dict[tuple[str, str, int | None], Hit] = {}
    for _, hit in ranked:
        best.setdefault((hit.kind, hit.name, hit.version), hit)
    return list(best.values())[:MAX_HITS]


def _hits(contract: Contract) -> Iterator[tuple[int, Hit]]:
    name, version = contract.name, contract.version
    url = f"/v1/contracts/{contract.kind}/{name}/{version}"
    yield 0, Hit(contract.kind, name, version, name, url)
    yield 2, Hit(contract.kind, name, version, f"{name} {contract.description}", url)
    if isinstance(contract, EventContract):
        for field, about in contract.fields.items():
            text = f"{name}.{field} {about.description}".strip()
            yield 1, Hit("field", f"{name}.{field}", version, text, url)
    elif contract.kind == "metric":
        yield 2, Hit("metric", name, version, f"{name} {' '.join(contract.tags)}", url)
