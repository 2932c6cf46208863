"""`agentflow contracts diff`: what changed, what it breaks, and whom that hits."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from agentflow.cli.failure import USAGE
from agentflow.cli.options import contracts_directory, contracts_option, json_option
from agentflow.cli.output import emit, say

_COLOURS = {"breaking": "red", "compatible": "green", "documentation": "blue"}


@click.command()
@click.argument("old", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("new", required=False, type=click.Path(path_type=Path, exists=True))
@contracts_option
@json_option
def diff(*, old: Path, new: Path | None, contracts_dir: Path | None, as_json: bool) -> None:
    """Compare the contracts in OLD with those in NEW (the configured directory if not said).

    Names the metrics and entities that a breaking change hits. Exit code 2 when anything breaks.

    \b
    git worktree add /tmp/before main && agentflow contracts diff /tmp/before/contracts
    """  # noqa: D301  # click's marker for "do not wrap"
    from agentflow.contracts import breaking, diff, read_directory
    from agentflow.errors import ContractFilesError

    registries = []
    for directory in (old, new or contracts_directory(contracts_dir)):
        # A changed meaning under a locked version is what a diff is asked to explain.
        reading = read_directory(directory, locked=False)
        if reading.problems:
            raise ContractFilesError(reading.problems)
        registries.append(reading.registry)
    changes = diff(*registries)
    broken = breaking(changes)
    if as_json:
        emit({"breaking": bool(broken), "changes": [asdict(change) for change in changes]})
    else:
        for change in changes:
            words = str(change).removeprefix(change.impact)
            click.echo(click.style(change.impact, fg=_COLOURS[change.impact]) + words)
        say(f"{len(changes)} changes, {len(broken)} of them breaking")
    if broken:
        raise click.exceptions.Exit(USAGE)
