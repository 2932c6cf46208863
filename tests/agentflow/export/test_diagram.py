"""Diagrams: drawn by Graphviz and parsed by Mermaid, and the picture is the contracts' graph."""

from collections.abc import Callable

import pydot
import pytest

from agentflow.contracts import Registry
from agentflow.export import export

# pydot reads with names that pyparsing is about to drop
pytestmark = pytest.mark.filterwarnings("ignore:.* deprecated - use:DeprecationWarning")
Ask = Callable[[str, list[str]], list[list[str]]]


def drawn_edges(registry: Registry, name: str | None = None) -> set[tuple[str, str]]:
    """Return the arrows of the DOT export by label, as pydot reads them."""
    graphs = pydot.graph_from_dot_data(export(registry, "dot", name=name)["contracts.dot"])
    assert graphs is not None, "pydot does not read it"
    (graph,) = graphs
    labels = {node.get_name(): str(node.get("label")).strip('"') for node in graph.get_nodes()}
    return {
        (labels[str(edge.get_source())], labels[str(edge.get_destination())])
        for edge in graph.get_edges()
    }


def test_mermaid_reads_the_flowchart(
    shop: Registry, every_type: Registry, problems_of: Ask
) -> None:
    """The parser is the one that GitHub and the browser run."""
    texts = [export(registry, "mermaid")["contracts.mmd"] for registry in (shop, every_type)]
    broken = texts[0].replace('"]', '"', 1)

    answers = problems_of("mermaid", [*texts, broken])

    assert answers[:2] == [[], []]
    assert answers[2]


def test_graphviz_draws_the_graph(shop: Registry, every_type: Registry, problems_of: Ask) -> None:
    """Graphviz itself, compiled to WebAssembly."""
    texts = [export(registry, "dot")["contracts.dot"] for registry in (shop, every_type)]
    broken = texts[0].replace("];", "", 1)

    answers = problems_of("dot", [*texts, broken])

    assert answers[:2] == [[], []]
    assert answers[2]


def test_the_arrows_are_what_the_contracts_say(registry: Registry) -> None:
    """A missing arrow hides what a change breaks."""
    expected = {
        (str(ref), f"{metric.name}@{metric.version}")
        for metric in registry.metrics.values()
        for ref in metric.refs
    }
    expected |= {
        (f"{metric.name}@{metric.version}", dimension)
        for metric in registry.metrics.values()
        for dimension in metric.dimensions
    }
    expected |= {
        (str(source.ref), f"{entity.name}@{entity.version}")
        for entity in registry.entities.values()
        for source in entity.sources
    }
    expected |= {
        (str(event.ref), str(event.corrects.ref))
        for event in registry.events.values()
        if event.corrects
    }

    assert drawn_edges(registry) == expected


def test_one_contract_is_drawn_with_its_neighbours(every_type: Registry) -> None:
    """Nobody finds one metric in a picture of three hundred."""
    assert drawn_edges(every_type, "median") == {
        ("probe.amended@1", "median@1"),
        ("probe.taken@1", "median@1"),
        ("probe.voided@1", "median@1"),
        ("median@1", "order"),
    }


def test_both_languages_show_the_same_arrows(registry: Registry) -> None:
    """They are two spellings of one picture."""
    arrows = [
        sum(text.count(arrow) for arrow in marks)
        for text, marks in (
            (export(registry, "mermaid")["contracts.mmd"], ("-->", "-.->")),
            (export(registry, "dot")["contracts.dot"], ("->",)),
        )
    ]

    assert arrows[0] == arrows[1]
