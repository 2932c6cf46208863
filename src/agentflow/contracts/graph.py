"""Which event moves which metric and sets which entity, computed from the expressions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from agentflow.contracts.model import EventContract, MetricContract
from agentflow.contracts.reads import corrections, reads
from agentflow.contracts.registry import Registry

NodeKind = Literal["event", "metric", "dimension", "entity"]
EdgeKind = Literal["moves", "takes_back", "amends", "splits", "sets", "relates"]


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """A contract (`order.created@1`) or a dimension (`currency`)."""

    kind: NodeKind
    name: str

    def __str__(self) -> str:
        """Render as `metric revenue@2`."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """One arrow, in the direction in which change flows.

    Attributes:
        fields: What is read or set along it, sorted.
    """

    source: Node
    target: Node
    kind: EdgeKind
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """All arrows between contracts, sorted."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def within(self, shown: Collection[Node]) -> Graph:
        """Return what joins some contracts, with the dimensions that split them."""
        edges = tuple(
            edge
            for edge in self.edges
            if edge.source in shown and (edge.target in shown or edge.target.kind == "dimension")
        )
        dimensions = {edge.target for edge in edges if edge.target.kind == "dimension"}
        nodes = tuple(node for node in self.nodes if node in shown or node in dimensions)
        return Graph(nodes, edges)

    def leaving(self, node: Node) -> tuple[Edge, ...]:
        """Return the arrows from a node."""
        return tuple(edge for edge in self.edges if edge.source == node)

    def reaching(self, node: Node) -> tuple[Edge, ...]:
        """Return the arrows to a node."""
        return tuple(edge for edge in self.edges if edge.target == node)


def graph(registry: Registry) -> Graph:
    """Return the graph of a registry that passed lint.

    Raises:
        ExpressionError: An expression does not parse.
    """
    edges = tuple(sorted({*_moves(registry), *_sets(registry), *_relates(registry)}))
    nodes = {node for edge in edges for node in (edge.source, edge.target)}
    shown = (registry.events, registry.entities, registry.metrics)
    nodes |= {node_of(contract) for contracts in shown for contract in contracts.values()}
    return Graph(tuple(sorted(nodes)), edges)


def node_of(contract: object) -> Node:
    """Return the node of a contract."""
    if isinstance(contract, EventContract):
        return Node("event", str(contract.ref))
    kind: NodeKind = "metric" if isinstance(contract, MetricContract) else "entity"
    return Node(kind, f"{getattr(contract, 'name', '')}@{getattr(contract, 'version', 0)}")


def _moves(registry: Registry) -> Iterator[Edge]:
    for metric in registry.metrics.values():
        target = node_of(metric)
        read = reads(metric, registry.events)
        for ref, names in read.items():
            yield Edge(Node("event", str(ref)), target, "moves", tuple(sorted(names)))
        for correcting, corrected in corrections(metric, registry.events):
            event = registry.events[correcting]
            if event.corrects is not None and event.corrects.effect == "retract":
                yield Edge(node_of(event), target, "takes_back")
            else:
                replaced = tuple(sorted(read[corrected] & event.fields.keys()))
                yield Edge(node_of(event), target, "amends", replaced)
        for dimension in metric.dimensions:
            yield Edge(target, Node("dimension", dimension), "splits")


def _sets(registry: Registry) -> Iterator[Edge]:
    for entity in registry.entities.values():
        for source in entity.sources:
            event = Node("event", str(source.ref))
            yield Edge(event, node_of(entity), "sets", tuple(sorted(source.sets)))


def _relates(registry: Registry) -> Iterator[Edge]:
    for entity in registry.entities.values():
        for relation in entity.relations.values():
            target = node_of(registry.entity(relation.to))
            yield Edge(node_of(entity), target, "relates", (relation.by,))
