"""`agentflow contracts publish`: a running platform takes over new definitions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from agentflow.wording import counted
from agentflow_cli.connection import connected
from agentflow_cli.failure import NO, Failure
from agentflow_cli.options import (
    contracts_directory,
    contracts_option,
    json_option,
    server_options,
)
from agentflow_cli.output import emit, say, waiting, write_table


@click.command()
@contracts_option
@server_options
@json_option
def publish(
    *, contracts_dir: Path | None, url: str | None, api_key: str | None, as_json: bool
) -> None:
    """Let the platform read its contracts again: backfill, compare, swap; events keep arriving.

    It reads the directory it was started with. The files here are checked first when
    --contracts-dir names them, and compared with what is in force afterwards.
    Ends with exit code 1 when a backfilled metric differs from its recompute.
    """
    from agentflow.lint import load

    directory = contracts_directory(contracts_dir)
    if contracts_dir is not None:
        load(contracts_dir)
    with connected(url, api_key) as client:
        with waiting("backfilling from the lake"):
            result = client.publish()
        catalog = client.catalog() if directory.is_dir() else None
    if as_json:
        emit(result)
    else:
        for item in result.get("published", ()):
            click.echo(f"{item['change']}  {item['kind']} {item['name']}@{item['version']}")
        rows = [
            (
                f"{metric['metric']}@{metric['version']}",
                f"{metric.get('backfilled_events', 0):,}",
                "equal" if metric.get("equal") else "DIFFERENT",
                f"{metric.get('catch_up_ms', 0):.0f} ms",
            )
            for metric in result.get("metrics", ())
        ]
        if rows:
            write_table(("metric", "events", "verdict", "catch-up"), rows)
        say(f"{counted(len(result.get('published', ())), 'change')} published")
    if catalog is not None:
        _say_what_differs(directory, catalog)
    if not all(metric.get("equal", True) for metric in result.get("metrics", ())):
        raise Failure("a backfilled metric differs", exit_code=NO, code="not_equal")


def _say_what_differs(directory: Path, catalog: Mapping[str, Any]) -> None:
    from agentflow_cli.checks import in_force

    found = in_force(directory, catalog)
    if found.status != "ok":
        say(f"{found.detail}; it reads the directory that `agentflow up` was started with")
