"""`agentflow keys`: API keys that are stored, made and ended without a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agentflow_cli.options import InstantParameter, json_option, server_options
from agentflow_cli.output import emit, say, write_table

if TYPE_CHECKING:
    from agentflow_cli.key_store import DirectKeys
    from agentflow_sdk import AgentFlow

F = TypeVar("F", bound=Callable[..., Any])
_HOUR_SECONDS = 3_600


def _where(command: F) -> F:
    """Add what says which keys: those of a platform that runs, or of one that does not."""
    data_dir = click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Work on the store itself: of a platform that is stopped, or in PostgreSQL.",
    )
    return data_dir(server_options(json_option(command)))


@contextmanager
def _keys(
    data_dir: Path | None, url: str | None, api_key: str | None
) -> Iterator[AgentFlow | DirectKeys]:
    """Yield who does what is asked: the platform, or this process."""
    if data_dir is None:
        from agentflow_cli.connection import connected

        with connected(url, api_key) as client:
            yield client
        return
    from agentflow_cli.key_store import direct_keys

    if url is not None or api_key is not None:
        raise click.UsageError("--data-dir goes without --url and --api-key")
    with direct_keys(data_dir) as keys:
        yield keys


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys; with a key that has the scope admin.

    The first key of a platform is made while it is stopped, with --data-dir.
    """


@keys.command()
@click.argument("title", metavar="NAME")
@click.option("--scope", "scopes", multiple=True, required=True, metavar="SCOPE",
              help="What it may do, as metrics:read; may be given again.")  # fmt: skip
@click.option("--metric", "only_metrics", multiple=True, metavar="NAME",
              help="The only metric that exists for it; may be given again.")  # fmt: skip
@click.option(
    "--entity", "only_entities", multiple=True, metavar="NAME", help="The same of entities."
)
@click.option("--event", "only_events", multiple=True, metavar="NAME", help="So of events.")
@click.option("--approved-only", is_flag=True, help="Only approved contracts exist for it.")
@click.option("--owner", default="", help="Who answers for it: a team, an address.")
@click.option("--tenant", help="Whose key; with --data-dir alone.  [default]")
@click.option("--expires", type=InstantParameter(), help="When it ends by itself.")
@click.option("--test", "for_tests", is_flag=True, help="Let it begin with af_test_.")
@_where
def create(  # noqa: PLR0913  # the options of the command
    *,
    title: str,
    scopes: tuple[str, ...],
    only_metrics: tuple[str, ...],
    only_entities: tuple[str, ...],
    only_events: tuple[str, ...],
    approved_only: bool,
    owner: str,
    tenant: str | None,
    expires: datetime | None,
    for_tests: bool,
    data_dir: Path | None,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Make a key and write it to stdout: it is shown this once.

    \b
    agentflow keys create dashboard --scope metrics:read --metric revenue
    """  # noqa: D301  # click's marker for "do not wrap"
    narrowed = {
        "metrics": only_metrics,
        "entities": only_entities,
        "events": only_events,
        "statuses": ("approved",) if approved_only else (),
    }
    more: dict[str, Any] = {name: list(names) for name, names in narrowed.items() if names}
    more |= {"owner": owner, "mode": "test" if for_tests else "live"}
    if tenant is not None:
        if data_dir is None:
            raise click.UsageError("--tenant goes with --data-dir: else the tenant is your own")
        more["tenant"] = tenant
    if expires is not None:
        more["expires_at"] = expires.isoformat().replace("+00:00", "Z")
    with _keys(data_dir, url, api_key) as found:
        made = found.create_key(title, list(scopes), **more)
    _tell(made, as_json=as_json)


@keys.command("list")
@_where
def list_(*, data_dir: Path | None, url: str | None, api_key: str | None, as_json: bool) -> None:
    """List keys, oldest first."""
    with _keys(data_dir, url, api_key) as found:
        listed = found.keys()
    if as_json:
        emit(listed)
        return
    header = ("id", "status", "tenant", "name", "scopes", "expires", "last used", "uses")
    write_table(
        header,
        [
            (
                key["id"],
                key["status"],
                key["tenant"],
                key["name"],
                " ".join(key["scopes"]),
                key["expires_at"] or "never",
                key["last_used_at"] or "never",
                key["uses"],
            )
            for key in listed
        ],
    )


@keys.command()
@click.argument("key_id", metavar="ID")
@_where
def show(
    *, key_id: str, data_dir: Path | None, url: str | None, api_key: str | None, as_json: bool
) -> None:
    """Show key ID: what it may, and when it was used."""
    with _keys(data_dir, url, api_key) as found:
        key = found.key(key_id)
    if as_json:
        emit(key)
        return
    for name, value in key.items():
        if value not in (None, ""):
            text = ", ".join(value) if isinstance(value, list) else str(value)
            click.echo(f"{name}: {text}")


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option("--overlap-hours", type=click.FloatRange(0, 2_160), default=24, show_default=True,
              help="For how long the text before works beside the new one.")  # fmt: skip
@_where
def rotate(  # the options of the command
    *,
    key_id: str,
    overlap_hours: float,
    data_dir: Path | None,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Give key ID another text and write it to stdout: it is shown this once."""
    with _keys(data_dir, url, api_key) as found:
        made = found.rotate_key(key_id, overlap_seconds=round(overlap_hours * _HOUR_SECONDS))
    _tell(made, as_json=as_json)


@keys.command()
@click.argument("key_id", metavar="ID")
@_where
def revoke(
    *, key_id: str, data_dir: Path | None, url: str | None, api_key: str | None, as_json: bool
) -> None:
    """End key ID at once, on every replica; its open streams end too."""
    with _keys(data_dir, url, api_key) as found:
        key = found.revoke_key(key_id)
    if as_json:
        emit(key)
        return
    say(f"{key['id']} ({key['name']}) is revoked")


def _tell(made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit(made)
        return
    say(f"{made['id']} ({made['name']}), tenant {made['tenant']}")
    say("keep the key, it is not shown again")
    if made["previous_ends_at"]:
        say(f"the text before works until {made['previous_ends_at']}")
    click.echo(made["key"])
