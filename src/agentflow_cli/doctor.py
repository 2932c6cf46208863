"""`agentflow doctor`: what is missing or broken, each with its fix."""

from __future__ import annotations

from pathlib import Path

import click

from agentflow.wording import counted
from agentflow_cli.failure import NO
from agentflow_cli.options import (
    contracts_directory,
    contracts_option,
    json_option,
    server_options,
    settings,
)
from agentflow_cli.output import emit, say

_MARKS = {"ok": ("ok", "green"), "note": ("note", "blue"), "problem": ("problem", "red")}


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where `up` keeps its data.")
@contracts_option
@server_options
@json_option
def doctor(
    *,
    data_dir: Path | None,
    contracts_dir: Path | None,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Check this machine, the contracts, the data directory and the platform.

    Ends with exit code 1 when there is a problem; a note is something to know.
    """
    from agentflow_cli.address_check import examine_address
    from agentflow_cli.bus_check import examine_bus
    from agentflow_cli.checks import CheckTarget, examine
    from agentflow_cli.control_check import examine_control

    configured = settings()
    target = CheckTarget(
        data_dir=data_dir or configured.data_dir,
        contracts_dir=contracts_directory(contracts_dir),
        host=configured.host,
        port=configured.port,
        url=url or configured.url,
        api_key=api_key or configured.api_key,
    )
    findings = [
        *examine(target),
        *examine_address(configured),
        *examine_bus(configured),
        *examine_control(configured, target.data_dir),
    ]
    if as_json:
        emit([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.status]
            click.echo(f"{click.style(f'{mark:<8}', fg=colour)} {finding.name}: {finding.detail}")
            if finding.fix:
                click.echo(f"         fix: {finding.fix}")
    problems = sum(finding.status == "problem" for finding in findings)
    say(counted(problems, "problem") if problems else "nothing is wrong")
    if problems:
        raise click.exceptions.Exit(NO)
