"""`agentflow contracts lint`: every problem of every file at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentflow.wording import counted
from agentflow_cli.failure import NO
from agentflow_cli.options import contracts_directory, contracts_option, json_option
from agentflow_cli.output import emit, say

if TYPE_CHECKING:
    from agentflow.errors import FileProblem


@click.command()
@contracts_option
@json_option
def lint(*, contracts_dir: Path | None, as_json: bool) -> None:
    """Check the contract files, and what replay mappings stand beside them.

    Writes `file:line: problem (hint)`; ends with exit code 1 when there is any.
    """
    from agentflow.contracts.lock import read_lock, unlocked
    from agentflow.errors import ContractFilesError
    from ingestion.replay import read_mappings
    from processing.definitions.compiling import read_compiled

    directory = contracts_directory(contracts_dir)
    reading = read_compiled(directory)
    problems: list[FileProblem] = list(reading.problems)
    if not problems:
        try:
            read_mappings(directory, reading.registry)
        except ContractFilesError as error:
            problems += error.problems
    new = [] if problems else unlocked(reading.registry, read_lock(directory) or {})
    if as_json:
        emit({"problems": [_fields(problem) for problem in problems], "unlocked": list(new)})
    else:
        for problem in problems:
            click.echo(f"{directory / problem.file}{str(problem).removeprefix(problem.file)}")
        count = len(reading.registry.contracts())
        say(f"{counted(count, 'contract')}, {counted(len(problems), 'problem')}")
        if new:
            say(f"not locked yet: {', '.join(new)}; run `agentflow contracts lock`")
    if problems:
        raise click.exceptions.Exit(NO)


def _fields(problem: FileProblem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line or None,
        "message": problem.message,
        "hint": problem.hint,
    }
