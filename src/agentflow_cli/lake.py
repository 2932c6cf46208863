"""`agentflow lake`: the tables of a lake that a job writes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from agentflow.wording import counted
from agentflow_cli.options import contracts_directory, contracts_option, json_option, settings
from agentflow_cli.output import emit, say


@click.group()
def lake() -> None:
    """Make the tables of a lake behind a catalog; AGENTFLOW_LAKE_CATALOG says which.

    The lake in the data directory is made by `agentflow up` itself.
    """


@lake.command()
@contracts_option
@json_option
def apply(*, contracts_dir: Path | None, as_json: bool) -> None:
    """Create missing tables and add missing columns; nothing is ever dropped.

    Run it before the lake job first starts, and after a contract has got a new event or field.
    """
    from agentflow.lint import load
    from processing.lake import Progressed
    from processing.lake.remote import open_remote_lake
    from processing.lake.wiring import lake_location

    location = lake_location(settings())
    if location is None:
        raise click.UsageError(
            "AGENTFLOW_LAKE_CATALOG is not set: name the catalog, and AGENTFLOW_LAKE_WAREHOUSE"
        )
    registry = load(contracts_directory(contracts_dir))
    with tempfile.TemporaryDirectory() as cache:
        opened = open_remote_lake(location, registry, cache=Path(cache), coverage=Progressed())
        names = sorted(".".join(name) for name in opened.all_names())
        opened.close()
    if as_json:
        emit({"catalog": location.catalog, "warehouse": location.warehouse, "tables": names})
        return
    for name in names:
        click.echo(name)
    say(f"{counted(len(names), 'table')} as wanted in {location.warehouse}")
