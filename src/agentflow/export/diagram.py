"""The graph of contracts as a picture: which event moves which metric, entity and event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentflow.contracts.model import EntityContract, EventContract, MetricContract
from agentflow.contracts.registry import Registry
from agentflow.errors import UnknownContractError
from agentflow.events import EventRef

NodeKind = Literal["event", "metric", "dimension", "entity"]
EdgeKind = Literal["moves", "by", "sets", "retract", "replace"]


@dataclass(frozen=True, slots=True, order=True)
class DiagramNode:
    """One box. `label` is what contracts call it: `order.created@1`, `currency`."""

    kind: NodeKind
    label: str
    deprecated: bool = False

    @property
    def id(self) -> str:
        """A name that both diagram languages take; the prefix keeps reserved words away."""
        plain = self.label.replace(".", "_").replace("@", "_v")
        return f"{self.kind}_{plain}"


@dataclass(frozen=True, slots=True, order=True)
class DiagramEdge:
    """One arrow."""

    start: DiagramNode
    end: DiagramNode
    kind: EdgeKind

    @property
    def correction(self) -> bool:
        """Whether it links an event to the event it takes back or amends."""
        return self.kind in {"retract", "replace"}


@dataclass(frozen=True, slots=True)
class Diagram:
    """What is drawn, sorted so that equal contracts give equal text."""

    nodes: tuple[DiagramNode, ...]
    edges: tuple[DiagramEdge, ...]


def diagram(registry: Registry, name: str | None = None) -> Diagram:
    """Return the graph of all contracts, or what touches the ones called *name*.

    Raises:
        UnknownContractError: No event, metric, dimension or entity has that name.
    """
    edges = sorted(_edges(registry))
    nodes = {node for edge in edges for node in (edge.start, edge.end)}
    nodes.update(_event(contract) for contract in registry.events.values())
    if name is None:
        return Diagram(tuple(sorted(nodes)), tuple(edges))
    focus = {node for node in nodes if name in {node.label, node.label.partition("@")[0]}}
    if not focus:
        raise UnknownContractError("contract", name, known={node.label for node in nodes})
    kept = tuple(edge for edge in edges if edge.start in focus or edge.end in focus)
    near = focus.union(*({edge.start, edge.end} for edge in kept))
    return Diagram(tuple(sorted(near)), kept)


def _edges(registry: Registry) -> set[DiagramEdge]:
    edges: set[DiagramEdge] = set()
    for metric in registry.metrics.values():
        edges |= {
            DiagramEdge(_known(registry, ref), _metric(metric), "moves") for ref in metric.refs
        }
        edges |= {
            DiagramEdge(_metric(metric), DiagramNode("dimension", dimension), "by")
            for dimension in metric.dimensions
        }
    for entity in registry.entities.values():
        edges |= {
            DiagramEdge(_known(registry, source.ref), _entity(entity), "sets")
            for source in entity.sources
        }
    for event in registry.events.values():
        if event.corrects:
            corrected = _known(registry, event.corrects.ref)
            edges.add(DiagramEdge(_event(event), corrected, event.corrects.effect))
    return edges


def _known(registry: Registry, ref: EventRef) -> DiagramNode:
    return _event(registry.events[ref])


def _event(contract: EventContract) -> DiagramNode:
    return DiagramNode("event", str(contract.ref), contract.status == "deprecated")


def _metric(contract: MetricContract) -> DiagramNode:
    label = f"{contract.name}@{contract.version}"
    return DiagramNode("metric", label, contract.status == "deprecated")


def _entity(contract: EntityContract) -> DiagramNode:
    label = f"{contract.name}@{contract.version}"
    return DiagramNode("entity", label, contract.status == "deprecated")


_MERMAID_SHAPES: dict[NodeKind, tuple[str, str]] = {
    "event": ("[", "]"),
    "metric": ("([", "])"),
    "dimension": ("{{", "}}"),
    "entity": ("[(", ")]"),
}
_DOT_SHAPES: dict[NodeKind, str] = {
    "event": "box",
    "metric": "ellipse",
    "dimension": "hexagon",
    "entity": "cylinder",
}


def mermaid(drawn: Diagram) -> str:
    """Render a Mermaid flowchart; deprecated contracts and corrections are dashed."""
    lines = ["flowchart LR"]
    for node in drawn.nodes:
        before, after = _MERMAID_SHAPES[node.kind]
        lines.append(f'  {node.id}{before}"{node.label}"{after}:::{node.kind}')
    for edge in drawn.edges:
        arrow = f"-.->|{edge.kind}|" if edge.correction else "-->"
        lines.append(f"  {edge.start.id} {arrow} {edge.end.id}")
    lines += [f"  classDef {kind} stroke-width:1px" for kind in _MERMAID_SHAPES]
    if old := [node.id for node in drawn.nodes if node.deprecated]:
        lines += ["  classDef deprecated stroke-dasharray:4", f"  class {','.join(old)} deprecated"]
    return "\n".join(lines) + "\n"


def dot(drawn: Diagram) -> str:
    """Render a Graphviz digraph; deprecated contracts and corrections are dashed."""
    lines = ["digraph contracts {", "  rankdir=LR;"]
    for node in drawn.nodes:
        style = ", style=dashed" if node.deprecated else ""
        lines.append(f'  {node.id} [label="{node.label}", shape={_DOT_SHAPES[node.kind]}{style}];')
    for edge in drawn.edges:
        look = f' [label="{edge.kind}", style=dashed]' if edge.correction else ""
        lines.append(f"  {edge.start.id} -> {edge.end.id}{look};")
    return "\n".join([*lines, "}"]) + "\n"
