"""`agentflow connectors`: what Debezium has to capture, compared with what it captures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentflow.wording import counted, quoted
from agentflow_cli.failure import NO
from agentflow_cli.options import contracts_directory, contracts_option, json_option, pairs
from agentflow_cli.output import emit, say

if TYPE_CHECKING:
    from ingestion.connectors import Connector, ConnectorDrift

_connect_option = click.option(
    "--connect-url",
    default="http://127.0.0.1:8083",
    show_default=True,
    envvar="AGENTFLOW_CONNECT_URL",
    metavar="URL",
    help="Kafka Connect's REST interface.",
)
_set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SERVER.KEY=VALUE",
    help="Another value for a key, such as shop.database.hostname=db1.",
)


@click.group()
def connectors() -> None:
    """Derive Debezium connectors from the source contracts, and keep them so.

    One connector for each server. Addresses and passwords are references to the environment of the
    Connect worker, which needs `config.providers=env`; no secret is in a configuration.
    """


@connectors.command()
@contracts_option
@_set_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write files here.")
def export(contracts_dir: Path | None, overrides: tuple[str, ...], out: Path | None) -> None:
    """Write the configurations as JSON, and the SQL that databases need before."""
    wanted = _wanted(contracts_dir, overrides)
    if out is None:
        emit({each.name: dict(each.config) for each in wanted})
    else:
        out.mkdir(parents=True, exist_ok=True)
        for each in wanted:
            text = json.dumps(dict(each.config), indent=2) + "\n"
            (out / f"{each.name}.json").write_text(text, "utf-8")
            click.echo(str(out / f"{each.name}.json"))
    for each in wanted:
        _warn(each)
        say(f"{each.name} needs {', '.join(each.environment)} in the worker's environment")


@connectors.command()
@contracts_option
@_set_option
@_connect_option
@click.option("--dry-run", is_flag=True, help="Only show what differs.")
@json_option
def apply(
    contracts_dir: Path | None,
    overrides: tuple[str, ...],
    connect_url: str,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Create and reconfigure connectors until they are as wanted.

    Says the SQL that a database needs before its connector is created: without it, PostgreSQL
    refuses the application's own UPDATE and DELETE on a table without a primary key. Exit code 1
    when something differs and was left so.
    """
    from ingestion.connectors import ConnectClient

    wanted = _wanted(contracts_dir, overrides)
    client = ConnectClient(connect_url)
    found = client.drift(wanted)
    if as_json:
        emit([asdict(each) for each in found])
    else:
        _show(found)
    for each, drift in zip(wanted, found, strict=True):
        if drift.missing:
            _warn(each)
        if not drift.settled and not dry_run:
            client.apply(each)
            say(f"applied {each.name}")
    if dry_run and not all(each.settled for each in found):
        raise click.exceptions.Exit(NO)


@connectors.command()
@contracts_option
@_connect_option
@click.option("--restart", is_flag=True, help="Start what has failed again.")
@json_option
def status(contracts_dir: Path | None, connect_url: str, *, restart: bool, as_json: bool) -> None:
    """Say which connectors run, what is wrong with the others, and how to fix it.

    Exit code 1 when one does not run, or has not stored its place in the source yet.
    """
    from ingestion.connectors import ConnectClient

    wanted = _wanted(contracts_dir, ())
    client = ConnectClient(connect_url)
    problems = [problem for each in wanted for problem in client.problems(each.name)]
    if as_json:
        emit([asdict(each) for each in problems])
    for each in problems if not as_json else ():
        click.echo(f"{each.connector} {each.part} {each.state}: {each.problem}")
        click.echo(f"  fix: {each.fix}")
    ill = len({each.connector for each in problems})
    say(f"{counted(len(wanted), 'connector')}, {ill} with problems")
    if restart:
        for name in dict.fromkeys(each.connector for each in problems if each.state == "FAILED"):
            client.restart(name)
            say(f"restarted {name}")
    if problems:
        raise click.exceptions.Exit(NO)


def _wanted(contracts_dir: Path | None, overrides: tuple[str, ...]) -> tuple[Connector, ...]:
    from agentflow.lint import load
    from ingestion.connectors import connectors_of

    registry = load(contracts_directory(contracts_dir))
    return connectors_of(registry, overrides=pairs(overrides))


def _warn(connector: Connector) -> None:
    """Say what a database needs before; a table without a key is the urgent case."""
    if connector.keyless:
        tables = ", ".join(connector.keyless)
        say(
            f"warning: without a replica identity, UPDATE and DELETE fail on {tables} once captured"
        )
        say(f"warning: before Debezium 3.7, equal rows of one COPY into {tables} count once")
    if connector.statements:
        say(f"run before {connector.name} is created:")
    for statement in connector.statements:
        say(f"  {statement}")


def _show(found: tuple[ConnectorDrift, ...]) -> None:
    for each in found:
        if each.missing:
            click.echo(f"{each.connector}: does not exist")
        for key, (held, wanted) in each.differences.items():
            click.echo(f"{each.connector}: {key} is {_shown(held)}, should be {_shown(wanted)}")
        if each.settled:
            click.echo(f"{each.connector}: as wanted")


def _shown(setting: str | None) -> str:
    return "not set" if setting is None else quoted(setting)
