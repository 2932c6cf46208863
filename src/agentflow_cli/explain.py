"""`agentflow explain`: why a metric is what it is, and whether the lake agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentflow.versions import versioned
from agentflow.wording import counted, quoted
from agentflow_cli.connection import connected
from agentflow_cli.failure import NO, Failure
from agentflow_cli.options import filters, json_option, server_options
from agentflow_cli.output import emit, number, say, waiting
from agentflow_cli.shown import write_answer, write_causes

if TYPE_CHECKING:
    from agentflow_sdk import Answer


@click.command()
@click.argument("name")
@click.argument("where", nargs=-1, metavar="[DIMENSION=VALUE]...")
@click.option("--window", "-w", help="One that the metric declares; its first if not said.")
@click.option("--by", help="Dimensions to split it by, separated by commas.")
@click.option("--version", type=int, help="Contract version; the newest approved if not said.")
@click.option("--sql", is_flag=True, help="Show the query that recomputed it.")
@server_options
@json_option
def explain(  # noqa: PLR0913  # the options of the command
    *,
    name: str,
    where: tuple[str, ...],
    window: str | None,
    by: str | None,
    version: int | None,
    sql: bool,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Show what moved metric NAME last, and recompute it from the lake.

    Ends with exit code 1 when the recomputed value differs from the live one.
    """
    name, version = versioned(name, version)
    with connected(url, api_key) as client, waiting("reading the lake"):
        answer = client.explain(name, window=window, where=filters(where), by=by, version=version)
    if as_json:
        emit(answer.model_dump(mode="json", exclude_unset=True))
    else:
        write_answer(answer)
        if answer.causes:
            say("\nlast moved by")
            write_causes(answer)
        _proof(answer, sql=sql)
    if answer.recompute is not None and not answer.recompute.equal:
        raise Failure(
            f"metric {quoted(name)} is {number(answer.value)} live and "
            f"{number(answer.recompute.value)} in the lake",
            exit_code=NO,
            code="not_equal",
            hint="Run `agentflow verify`, and keep the data directory: it shows the cause.",
        )


def _proof(answer: Answer, *, sql: bool) -> None:
    recompute = answer.recompute
    if recompute is None:
        say("\nthe platform did not recompute it")
        return
    verdict = "equal" if recompute.equal else "DIFFERENT"
    tables = ", ".join(
        f"{table}@{snapshot}" for table, snapshot in (recompute.snapshots or {}).items()
    )
    rows = counted(recompute.rows, "row")
    say(f"\nrecomputed from the lake: {verdict}, {rows}, {recompute.ms:.0f} ms")
    if tables:
        say(f"snapshots: {tables}")
    if sql and recompute.sql:
        click.echo(recompute.sql)
