"""`agentflow entity`: what is known of one order, user, product."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from agentflow.wording import counted
from agentflow_cli.connection import connected
from agentflow_cli.options import InstantParameter, json_option, server_options
from agentflow_cli.output import emit, say, write_table

if TYPE_CHECKING:
    from agentflow_sdk import Entity, Session


@click.command()
@click.argument("type")
@click.argument("id")
@click.option("--as-of", type=InstantParameter(), help="What was known then, by event time.")
@click.option("--timeline/--no-timeline", default=True, help="The events of its life.")
@click.option("--limit", type=click.IntRange(1), help="How many of them, and of sessions.")
@server_options
@json_option
def entity(  # noqa: PLR0913  # the options of the command
    *,
    type: str,  # noqa: A002  # the argument's name
    id: str,  # noqa: A002  # the argument's name
    as_of: datetime | None,
    timeline: bool,
    limit: int | None,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Show the attributes of entity TYPE ID, which event set each, and its timeline.

    Of an entity with sessions, those too, the newest first.
    """
    with connected(url, api_key) as client:
        found = client.entity(type, id, as_of=as_of, timeline=timeline, limit=limit)
    if as_json:
        emit(found.model_dump(mode="json", exclude_unset=True))
    else:
        _write(found)


def _write(found: Entity) -> None:
    rows = []
    for name, value in found.attributes.items():
        by = found.set_by.get(name)
        rows.append((name, value, f"{by.type} {by.occurred_at.isoformat()}" if by else ""))
    write_table(("attribute", "value", "set by"), rows)
    say(f"{found.entity} {found.id}: {counted(found.events, 'event')}")
    if found.sessions:
        say("\nsessions")
        write_table(("start", "end", "events", "lasted", "attributes"), map(_row, found.sessions))
    if found.timeline:
        say("\ntimeline")
        write_table(
            ("occurred", "event", "id"),
            [(e.occurred_at.isoformat(), e.type, e.event_id) for e in found.timeline],
        )


def _row(session: Session) -> tuple[object, ...]:
    """Return a session as a line; one that is open says so in place of its end."""
    end = "open" if session.open else session.end.isoformat()
    lasted = timedelta(milliseconds=session.duration_ms)
    attributes = " ".join(f"{name}={value}" for name, value in session.attributes.items())
    return session.start.isoformat(), end, session.events, lasted, attributes
