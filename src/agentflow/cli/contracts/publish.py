"""`agentflow contracts publish`: a running platform takes over new definitions."""

from __future__ import annotations

import click

from agentflow.cli.connection import connected
from agentflow.cli.failure import NO, Failure
from agentflow.cli.options import json_option, server_options
from agentflow.cli.output import emit, say, waiting, write_table


@click.command()
@server_options
@json_option
def publish(*, url: str | None, api_key: str | None, as_json: bool) -> None:
    """Let the platform read its contracts again: backfill, compare, swap; events keep arriving.

    Ends with exit code 1 when a backfilled metric differs from its recompute.
    """
    with connected(url, api_key) as client, waiting("backfilling from the lake"):
        result = client.publish()
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
        say(f"{len(result.get('published', ()))} changes published")
    if not all(metric.get("equal", True) for metric in result.get("metrics", ())):
        raise Failure("a backfilled metric differs", exit_code=NO, code="not_equal")
