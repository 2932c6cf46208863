"""`agentflow deadletter`: what was rejected, why, and the way back in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

import click

from agentflow.wording import quoted
from agentflow_cli.connection import connected
from agentflow_cli.event_file import read_event
from agentflow_cli.failure import REFUSED, Failure
from agentflow_cli.json_text import json_of
from agentflow_cli.options import json_option, pairs, server_options
from agentflow_cli.output import emit, say, write_table


@click.group()
def deadletter() -> None:
    """Look at what was rejected, fix it, and send it again; an event keeps its id."""


@deadletter.command("list")
@click.option("--reason", help="Only those rejected for this reason.")
@click.option("--type", help="Only events of this type.")
@click.option("--status", help="open, replayed, fixed or discarded.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@server_options
@json_option
def list_(  # noqa: PLR0913  # the options of the command
    *,
    reason: str | None,
    type: str | None,  # noqa: A002  # the option's name
    status: str | None,
    limit: int,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """List dead letters, and count them by reason."""
    with connected(url, api_key) as client:
        page = client.dead_letter_page(reason=reason, type=type, status=status, limit=limit)
    if as_json:
        emit(page.model_dump(mode="json"))
        return
    rows = [
        (letter.offset, letter.status, letter.reason, letter.type, letter.event_id, first(letter))
        for letter in page.dead_letters
    ]
    write_table(("offset", "status", "reason", "type", "id", "first problem"), rows)
    counts = ", ".join(f"{reason} {count:,}" for reason, count in page.counts.items())
    say(f"all dead letters: {counts or 'none'}")
    if page.next_cursor:
        say("there are more; raise --limit, or narrow it with --reason and --type")


@deadletter.command()
@click.argument("offset", type=int)
@click.option("--reveal", is_flag=True, help="Mask nothing; needs a key with the scope admin.")
@server_options
@json_option
def show(*, offset: int, reveal: bool, url: str | None, api_key: str | None, as_json: bool) -> None:
    """Show dead letter OFFSET: every problem, and the event with what may be personal masked."""
    with connected(url, api_key) as client:
        letter = client.dead_letter(offset, reveal=reveal)
    if as_json:
        emit(letter.model_dump(mode="json"))
        return
    say(f"{letter.status}: {letter.type} {letter.event_id}, {letter.reason}, {letter.received_at}")
    for error in letter.errors:
        say(f"  {error}")
    if letter.conflicts_with is not None:
        first = json.dumps(letter.conflicts_with, indent=2, ensure_ascii=False)
        say(f"accepted under this identity before:\n{first}")
    if letter.raw is None and letter.masked:
        say("what arrived is masked as a whole; --reveal shows it")
        return
    raw = letter.raw_base64 if letter.raw is None else letter.raw
    click.echo(raw if isinstance(raw, str) else json.dumps(raw, indent=2, ensure_ascii=False))


@deadletter.command()
@click.argument("offset", type=int)
@click.option("--set", "changes", multiple=True, metavar="POINTER=VALUE", help="Set a text value.")
@click.option("--set-json", multiple=True, metavar="POINTER=JSON", help="Set any JSON value.")
@click.option("--remove", multiple=True, metavar="POINTER", help="Remove a member.")
@click.option("--event", type=click.File("r"), help="The whole corrected event; - is stdin.")
@server_options
@json_option
def fix(  # noqa: PLR0913  # the options of the command
    *,
    offset: int,
    changes: tuple[str, ...],
    set_json: tuple[str, ...],
    remove: tuple[str, ...],
    event: IO[str] | None,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Correct dead letter OFFSET and send it again.

    \b
    agentflow deadletter fix 7 --set /data/amount=1.00 --remove /data/oops
    """  # noqa: D301  # click's marker for "do not wrap"
    new: dict[str, object] = dict(pairs(changes))
    for pointer, text in pairs(set_json).items():
        if pointer in new:
            raise click.UsageError(f"{quoted(pointer)} is given twice")
        new[pointer] = json_of(text, f"--set-json {pointer}")
    whole = read_event(event, "--event") if event is not None else None
    if (whole is None) == (not new and not remove):
        raise click.UsageError("give either --set, --set-json and --remove, or a whole --event")
    with connected(url, api_key) as client:
        result = client.fix(offset, set=new, remove=remove, event=whole)
    _report(result, offset, as_json=as_json)


@deadletter.command()
@click.argument("offset", type=int, required=False)
@click.option("--reason", help="All open ones rejected for this reason.")
@click.option("--type", help="All open ones of this type.")
@click.option("--all", "everything", is_flag=True, help="All open ones.")
@server_options
@json_option
def replay(  # noqa: PLR0913  # the options of the command
    *,
    offset: int | None,
    reason: str | None,
    type: str | None,  # noqa: A002  # the option's name
    everything: bool,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Send dead letter OFFSET again as it is, or all that match, after a contract changed."""
    many = everything or reason is not None or type is not None
    if many == (offset is not None):
        raise click.UsageError("name one OFFSET, or many by --reason, --type or --all")
    with connected(url, api_key) as client:
        if offset is not None:
            _report(client.replay(offset), offset, as_json=as_json)
            return
        result = client.replay_all(reason=reason, type=type)
    if as_json:
        emit(result)
    else:
        for name, value in result.items():
            if isinstance(value, int):
                click.echo(f"{name:<10}  {value:,}")


@deadletter.command()
@click.argument("offset", type=int)
@server_options
@json_option
def discard(*, offset: int, url: str | None, api_key: str | None, as_json: bool) -> None:
    """Mark dead letter OFFSET as one that will not be sent; it stays in the record."""
    with connected(url, api_key) as client:
        result = client.discard(offset)
    if as_json:
        emit(result)
    else:
        say(f"dead letter {offset} is discarded")


def first(letter: Any) -> str:  # noqa: ANN401  # a DeadLetter, imported only when needed
    """Return the first thing that is wrong with a dead letter."""
    return str(letter.errors[0]) if letter.errors else ""


def _report(result: Mapping[str, Any], offset: int, *, as_json: bool) -> None:
    if as_json:
        emit(result)
    outcome = (result.get("events") or [result])[0]
    if outcome.get("status") == "rejected":
        errors = outcome.get("errors") or ()
        details = tuple(f"{e.get('pointer') or ''}: {e['message']}" for e in errors)
        raise Failure(
            f"dead letter {offset} is still rejected",
            exit_code=REFUSED,
            code="event_rejected",
            details=details,
        )
    if not as_json:
        say(f"dead letter {offset} was {outcome.get('status', 'sent again')}")
