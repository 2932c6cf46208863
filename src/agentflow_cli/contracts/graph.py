"""`agentflow contracts graph`: what moves what, computed from the expressions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentflow_cli.options import contracts_directory, contracts_option, json_option
from agentflow_cli.output import emit, write_table

if TYPE_CHECKING:
    from agentflow.contracts import Graph


@click.command()
@click.argument("name", required=False)
@click.option("--format", "fmt", type=click.Choice(["text", "mermaid", "dot"]), default="text")
@contracts_option
@json_option
def graph(*, name: str | None, fmt: str, contracts_dir: Path | None, as_json: bool) -> None:
    """Show the arrows between events, metrics and entities, or only those at NAME."""
    from agentflow.contracts import graph as graph_of
    from agentflow.export import export
    from agentflow.lint import load

    registry = load(contracts_directory(contracts_dir))
    if fmt != "text" and not as_json:
        for text in export(registry, fmt, name=name).values():
            click.echo(text, nl=False)
        return
    drawn = graph_of(registry)
    edges = _edges(drawn, name)
    if as_json:
        nodes = [{"kind": node.kind, "name": node.name} for node in drawn.nodes]
        emit({"nodes": nodes, "edges": edges})
    else:
        rows = [(e["from"], e["kind"], e["to"], ", ".join(e["fields"])) for e in edges]
        write_table(("from", "", "to", "through"), rows)


def _edges(drawn: Graph, name: str | None) -> list[dict[str, list[str] | str]]:
    from agentflow.errors import UnknownContractError

    known = {node.name for node in drawn.nodes}
    if name is not None and name not in known | {each.partition("@")[0] for each in known}:
        raise UnknownContractError("contract", name, known=known)
    return [
        {
            "from": str(edge.source),
            "to": str(edge.target),
            "kind": edge.kind,
            "fields": list(edge.fields),
        }
        for edge in drawn.edges
        if name is None
        or any(name in {n.name, n.name.partition("@")[0]} for n in (edge.source, edge.target))
    ]
