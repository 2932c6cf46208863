"""`agentflow tail`: events or metrics, as they come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

import click

from agentflow_cli.connection import connected
from agentflow_cli.options import filters, json_option, server_options
from agentflow_cli.output import emit_line, number, visible
from agentflow_cli.shown import dimensions

if TYPE_CHECKING:
    from agentflow_sdk import AgentFlow


@click.command()
@click.option("--metric", "-m", "metrics", multiple=True, help="Follow this metric, not events.")
@click.option("--window", "-w", help="Of the metrics.")
@click.option("--where", multiple=True, metavar="DIMENSION=VALUE", help="Of the metrics.")
@click.option("--type", help="Only events of this type.")
@click.option("--from-start", is_flag=True, help="Begin with the oldest event in the log.")
@click.option("--limit", "-n", type=click.IntRange(1), help="Stop after that many.")
@server_options
@json_option
def tail(  # noqa: PLR0913  # the options of the command
    *,
    metrics: tuple[str, ...],
    window: str | None,
    where: tuple[str, ...],
    type: str | None,  # noqa: A002  # the option's name
    from_start: bool,
    limit: int | None,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Follow accepted events, or the values of metrics; interrupt to stop."""
    wanted = filters(where)
    with suppress(KeyboardInterrupt), connected(url, api_key) as client:
        if metrics:
            _metrics(client, metrics, (window, wanted), limit=limit, as_json=as_json)
            return
        with client.stream_events(type=type, from_start=from_start) as stream:
            for event in islice(stream, limit):
                if as_json:
                    emit_line(event.model_dump(mode="json"))
                else:
                    data = " ".join(f"{name}={value}" for name, value in event.data.items())
                    click.echo(visible(f"{event.time}  {event.type}  {event.id}  {data}"))


def _metrics(
    client: AgentFlow,
    names: tuple[str, ...],
    scope: tuple[str | None, dict[str, str | None]],
    *,
    limit: int | None,
    as_json: bool,
) -> None:
    window, where = scope
    with client.stream_metrics(*names, window=window, where=where) as stream:
        for answer in islice(stream, limit):
            if as_json:
                emit_line(answer.model_dump(mode="json", exclude_unset=True))
                continue
            name = f"{answer.metric}@{answer.contract.version}"
            head = f"{name}  {answer.window.name}  {answer.status}"
            groups = answer.groups if answer.value is None else ()
            values: Iterator[str] = (
                f"{dimensions(g.dimensions)} {number(g.value)}" for g in groups
            )
            text = "; ".join(values) or f"{number(answer.value)} {answer.unit or ''}"
            click.echo(visible(f"{head}  {text}".rstrip()))
