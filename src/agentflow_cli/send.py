"""`agentflow send`: one event in, and what it moved."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import click

from agentflow.versions import versioned
from agentflow_cli.connection import connected
from agentflow_cli.event_data import completed, contract_of, data_of, now
from agentflow_cli.event_file import read_event
from agentflow_cli.failure import REFUSED, Failure
from agentflow_cli.options import InstantParameter, json_option, server_options
from agentflow_cli.output import emit, number, say, signed, write_table
from agentflow_cli.shown import dimensions

if TYPE_CHECKING:
    from agentflow_sdk import AgentFlow, Answer, DryRun, Receipt

Json: TypeAlias = Mapping[str, Any]


@click.command()
@click.argument("type", required=False)
@click.argument("fields", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--watch", multiple=True, metavar="METRIC", help="Show it before and after.")
@click.option("--window", "-w", help="Window of the watched metrics.")
@click.option("--id", help="The event's identity: it counts once, however often it is sent.")
@click.option("--time", type=InstantParameter(), help="When it happened, if not now.")
@click.option("--source", help="Who says so; urn:agentflow:cli if not said.")
@click.option("--version", type=int, help="Major version of the contract.")
@click.option("--json-file", type=click.File("r"), help="A whole event as JSON; - is stdin.")
@click.option("--dry-run", is_flag=True, help="Show what it would move; send nothing.")
@server_options
@json_option
def send(  # noqa: PLR0913  # the options of the command
    *,
    type: str | None,  # noqa: A002  # the argument's name
    fields: tuple[str, ...],
    watch: tuple[str, ...],
    window: str | None,
    id: str | None,  # noqa: A002  # the option's name
    time: datetime | None,
    source: str | None,
    version: int | None,
    json_file: IO[str] | None,
    dry_run: bool,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Send an event of TYPE; values are typed by its contract.

    \b
    agentflow send order.created amount=99.50 currency=EUR --watch revenue
    agentflow send page.clicked session_id=S-1 --dry-run
    agentflow send --json-file event.json

    A key that is not given (order_id, say) gets a fresh value, a required event time is
    --time, or now. NAME:=JSON passes any JSON value.
    """  # noqa: D301  # click's marker for "do not wrap"
    if (type is None) == (json_file is None):
        raise click.UsageError("name an event TYPE, or give a whole event with --json-file")
    with connected(url, api_key) as client:
        if json_file is not None:
            event = _read(json_file)
        else:
            assert type is not None  # noqa: S101  # checked above
            type, version = versioned(type, version)  # noqa: A001  # the argument's name
            contract = contract_of(client.catalog(), type, version)
            given = data_of(contract, fields)
            data = completed(contract, given, at=time or now())
            for name in data.keys() - given.keys():
                say(f"{name}={data[name]}")
            attributes = {"id": id, "time": time, "source": source, "version": version}
            event = client.event(type, data, **attributes)  # type: ignore[arg-type]  # by name
        if dry_run:
            _show_dry_run(client.dry_run_event(event), as_json=as_json)
            return
        watched = _Watch(client, watch, window, event)
        before = watched.answers()
        receipt = client.send_event(event)
        after = watched.answers(wait=receipt.token)
    _show(receipt, list(zip(before, after, strict=True)), as_json=as_json)


def _read(file: IO[str]) -> Json:
    event = read_event(file, "--json-file")
    if not isinstance(event, dict):
        raise click.UsageError(f"{file.name} holds no JSON object; see `agentflow replay` for many")
    return event


class _Watch:
    """Metrics before and after; money in the unit of the event, so that there is one number."""

    def __init__(
        self, client: AgentFlow, names: tuple[str, ...], window: str | None, event: Json
    ) -> None:
        self._client = client
        self._window = window
        data = event.get("data")
        values = data if isinstance(data, dict) else {}
        declared = client.metrics() if names else ()
        approved = {m.name: m for m in declared if m.status == "approved"}
        pinned = {(m.name, m.version): m for m in declared}
        self._where: dict[str, dict[str, object]] = {}
        for name in names:
            plain, version = versioned(name)
            metric = approved.get(plain) if version is None else pinned.get((plain, version))
            unit = metric.unit if metric else None
            known = metric is not None and unit in metric.dimensions and unit in values
            self._where[name] = {str(unit): values[unit]} if known else {}

    def answers(self, *, wait: str | None = None) -> list[Answer]:
        """Ask for all of them."""
        return [
            self._client.metric(name, window=self._window, where=where, wait=wait)
            for name, where in self._where.items()
        ]


def _show(receipt: Receipt, watched: list[tuple[Answer, Answer]], *, as_json: bool) -> None:
    moves = [
        {
            "metric": after.metric,
            "version": after.contract.version,
            "window": after.window.name,
            "dimensions": dict(after.dimensions),
            "unit": after.unit,
            "before": before.value,
            "after": after.value,
            "moved": _difference(before, after),
        }
        for before, after in watched
    ]
    if as_json:
        emit({**receipt.model_dump(mode="json"), "watched": moves})
        return
    for outcome in receipt.events:
        # Over a stream an event is taken before its offset is known.
        place = "" if outcome.offset is None else f", offset {outcome.offset}"
        say(f"{outcome.status}: {outcome.type} {outcome.id}{place}")
        if outcome.identified_by == "content":
            say("it has no id, so its content identifies it: an equal event is a duplicate")
        for warning in outcome.warnings:
            say(f"warning: {warning}")
    if watched:
        rows = [
            (
                f"{after.metric}@{after.contract.version} {after.window.name or ''}".rstrip(),
                dimensions(after.dimensions),
                number(before.value),
                number(after.value),
                signed(_difference(before, after)),
                after.unit or "",
            )
            for before, after in watched
        ]
        write_table(("metric", "dimensions", "before", "after", "moved", "unit"), rows)


def _difference(before: Answer, after: Answer) -> Any:  # noqa: ANN401  # Decimal or int, as they are
    if before.value is None or after.value is None:
        return None if before.value is None and after.value is None else after.value
    return after.value - before.value


def _show_dry_run(result: DryRun, *, as_json: bool) -> None:
    if as_json:
        emit(result.model_dump(mode="json"))
    elif result.accepted:
        say("it was counted already" if result.duplicate else "it would be accepted, and move")
        rows = [
            (
                f"{m.metric}@{m.version} {m.window or ''}".rstrip(),
                dimensions(m.dimensions),
                number(m.before),
                number(m.after),
                signed(m.moved),
                m.unit or "",
            )
            for m in result.moves
        ]
        write_table(("metric", "dimensions", "before", "after", "moved", "unit"), rows)
    if not result.accepted:
        details = tuple(str(error) for error in result.errors)
        raise Failure(
            "it would be rejected", exit_code=REFUSED, code="event_rejected", details=details
        )
