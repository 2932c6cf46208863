"""`agentflow metric`: a number and what it takes to trust it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from agentflow.versions import versioned
from agentflow_cli.connection import connected
from agentflow_cli.options import InstantParameter, filters, json_option, server_options
from agentflow_cli.output import emit, write_table
from agentflow_cli.shown import write_answer

if TYPE_CHECKING:
    from agentflow_sdk import AgentFlow, Answer


@click.command()
@click.argument("name", required=False)
@click.argument("where", nargs=-1, metavar="[DIMENSION=VALUE]...")
@click.option("--window", "-w", help="One that the metric declares; its first if not said.")
@click.option("--by", help="Dimensions to split it by, separated by commas.")
@click.option("--limit", type=click.IntRange(1, 10_000), help="Show at most so many groups.")
@click.option("--cursor", help="Show the groups after those of the answer that had it.")
@click.option("--version", type=int, help="Contract version; the newest approved if not said.")
@click.option("--as-of", type=InstantParameter(), help="What it was then.")
@click.option("--grain", help="A series in steps of this length, `5m`; with --start and --end.")
@click.option("--start", type=InstantParameter())
@click.option("--end", type=InstantParameter())
@click.option("--at-least", metavar="TOKEN", help="Wait until the answer covers this token.")
@server_options
@json_option
def metric(  # noqa: PLR0913  # the options of the command
    *,
    name: str | None,
    where: tuple[str, ...],
    window: str | None,
    by: str | None,
    limit: int | None,
    cursor: str | None,
    version: int | None,
    as_of: datetime | None,
    grain: str | None,
    start: datetime | None,
    end: datetime | None,
    at_least: str | None,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Show metric NAME, or list all metrics.

    \b
    agentflow metric revenue currency=EUR --window 1h --by country
    agentflow metric order_count --grain 1h --start 2026-01-01T00:00:00Z --end 2026-01-02T00:00:00Z
    """  # noqa: D301  # click's marker for "do not wrap"
    wanted = filters(where)
    with connected(url, api_key) as client:
        if name is None:
            _list(client, as_json=as_json)
            return
        name, version = versioned(name, version)
        if grain is None:
            answer = client.metric(
                name,
                window=window,
                where=wanted,
                by=by,
                limit=limit,
                cursor=cursor,
                version=version,
                as_of=as_of,
                wait=at_least,
            )
        else:
            answer = _series(
                client,
                name,
                grain=grain,
                ends=(start, end),
                where=wanted,
                by=by,
                page=(limit, cursor),
                version=version,
                as_of=as_of,
                wait=at_least,
            )
    if as_json:
        emit(answer.model_dump(mode="json", exclude_unset=True))
    else:
        write_answer(answer)


def _series(  # noqa: PLR0913  # as the client has them
    client: AgentFlow,
    name: str,
    *,
    grain: str,
    ends: tuple[datetime | None, datetime | None],
    where: dict[str, str | None],
    by: str | None,
    page: tuple[int | None, str | None],
    version: int | None,
    as_of: datetime | None,
    wait: str | None,
) -> Answer:
    start, end = ends
    limit, cursor = page
    if start is None or end is None:
        raise click.UsageError("--grain needs --start and --end")
    return client.series(
        name,
        grain=grain,
        start=start,
        end=end,
        where=where,
        by=by,
        limit=limit,
        cursor=cursor,
        version=version,
        as_of=as_of,
        wait=wait,
    )


def _list(client: AgentFlow, *, as_json: bool) -> None:
    metrics = client.metrics()
    if as_json:
        emit([metric.model_dump(mode="json") for metric in metrics])
        return
    rows = [
        (f"{m.name}@{m.version}", m.status, m.unit, " ".join(w.name for w in m.windows))
        for m in metrics
    ]
    write_table(("metric", "status", "unit", "windows"), rows)
