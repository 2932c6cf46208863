"""`agentflow contracts`: what the contract files say, and whether they may land."""

from __future__ import annotations

import click

from agentflow_cli.group import Lazy, LazyGroup

__all__ = ["contracts"]

_ROOM = "agentflow_cli.contracts"
_COMMANDS = {
    "diff": Lazy(f"{_ROOM}.diff:diff", "Compare two directories; exit code 2 when breaking."),
    "export": Lazy(f"{_ROOM}.export:export", "Write JSON Schema, Avro, AsyncAPI, ODCS, OSI…"),
    "graph": Lazy(f"{_ROOM}.graph:graph", "Show what moves what."),
    "lint": Lazy(f"{_ROOM}.lint:lint", "Find every problem, with file and line."),
    "lock": Lazy(f"{_ROOM}.lock:lock", "Record what every version means."),
    "publish": Lazy(f"{_ROOM}.publish:publish", "Let a running platform take them over."),
    "test": Lazy(f"{_ROOM}.test:test", "Run the examples of the metrics."),
}


@click.command(cls=LazyGroup, commands=_COMMANDS)
def contracts() -> None:
    """Check, test, compare and export contract files."""
