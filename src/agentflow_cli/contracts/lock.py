"""`agentflow contracts lock`: the record of what every version means."""

from __future__ import annotations

from pathlib import Path

import click

from agentflow.wording import counted
from agentflow_cli.failure import NO, USAGE, Failure
from agentflow_cli.options import contracts_directory, contracts_option, json_option
from agentflow_cli.output import emit, say


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 when it is out of date.")
@click.option("--accept-changes", is_flag=True, help="Overwrite meanings that changed, on purpose.")
@contracts_option
@json_option
def lock(*, check: bool, accept_changes: bool, contracts_dir: Path | None, as_json: bool) -> None:
    """Write contracts.lock: name and version of each contract, and the hash of its meaning.

    A meaning that changed under the same version is refused with exit code 2.
    """
    from agentflow.contracts import check_lock, read_lock, unlocked, write_lock
    from agentflow.errors import ContractFilesError
    from agentflow.lint import read_directory

    directory = contracts_directory(contracts_dir)
    reading = read_directory(directory, locked=False)
    if reading.problems:
        raise ContractFilesError(reading.problems)
    locked = read_lock(directory) or {}
    changed = check_lock(reading.registry, locked)
    if changed and not accept_changes:
        raise Failure(
            f"{counted(len(changed), 'contract')} changed in meaning",
            exit_code=USAGE,
            code="contract_breaking",
            hint="Give each a new version, or accept the changes on purpose: --accept-changes.",
            details=tuple(str(problem) for problem in changed),
        )
    new = unlocked(reading.registry, locked)
    stale = bool(new or changed)
    if not check:
        write_lock(directory, reading.registry, accept_changes=accept_changes)
    if as_json:
        emit({"new": list(new), "changed": len(changed), "up_to_date": not stale or not check})
    else:
        for key in new:
            click.echo(key)
        words = "would be new" if check else "new"
        say(f"{directory / 'contracts.lock'}: {len(new)} {words}, {len(changed)} changed")
    if check and stale:
        raise click.exceptions.Exit(NO)
