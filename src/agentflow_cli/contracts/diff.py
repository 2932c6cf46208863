"""`agentflow contracts diff`: what changed, what it breaks, and whom that hits."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentflow.wording import counted
from agentflow_cli.failure import USAGE
from agentflow_cli.options import contracts_directory, contracts_option, json_option
from agentflow_cli.output import emit, say

if TYPE_CHECKING:
    from agentflow.contracts import Registry

_COLOURS = {"breaking": "red", "compatible": "green", "documentation": "blue"}


@click.command()
@click.argument("old")
@click.argument("new", required=False, type=click.Path(path_type=Path, exists=True))
@contracts_option
@json_option
def diff(*, old: str, new: Path | None, contracts_dir: Path | None, as_json: bool) -> None:
    """Compare the contracts in OLD with those in NEW (the configured directory if not said).

    OLD is a directory, or a git revision at which NEW is looked up. Names the metrics and entities
    that a breaking change hits. Exit code 2 when anything breaks.

    \b
    agentflow contracts diff main
    agentflow contracts diff /tmp/before/contracts
    """  # noqa: D301  # click's marker for "do not wrap"
    from agentflow.contracts import breaking, diff
    from agentflow_cli.contracts.revision import contracts_at

    directory = new or contracts_directory(contracts_dir)
    with contracts_at(old, directory) as before:
        changes = diff(_read(before), _read(directory))
    broken = breaking(changes)
    if as_json:
        emit({"breaking": bool(broken), "changes": [asdict(change) for change in changes]})
    else:
        for change in changes:
            words = str(change).removeprefix(change.impact)
            click.echo(click.style(change.impact, fg=_COLOURS[change.impact]) + words)
        say(f"{counted(len(changes), 'change')}, {len(broken)} breaking")
    if broken:
        raise click.exceptions.Exit(USAGE)


def _read(directory: Path) -> Registry:
    from agentflow.errors import ContractFilesError
    from agentflow.lint import read_directory

    # A changed meaning under a locked version is what a diff is asked to explain.
    reading = read_directory(directory, locked=False)
    if reading.problems:
        raise ContractFilesError(reading.problems)
    return reading.registry
