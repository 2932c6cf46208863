"""`agentflow smoke`: one event all the way through, with what each hop took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from agentflow_cli.connection import connected
from agentflow_cli.event_data import completed, contract_of, data_of, now
from agentflow_cli.failure import NO, REFUSED, Failure
from agentflow_cli.options import json_option, server_options
from agentflow_cli.output import emit, say, write_table

if TYPE_CHECKING:
    from agentflow_sdk import AgentFlow

Json: TypeAlias = Mapping[str, Any]
_SOURCE = "urn:agentflow:smoke"
_LAKE_PAUSE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Hop:
    """A place the event has been.

    Attributes:
        ms: Milliseconds after it was sent at which it was known to be there; None when only the
            place is known.
    """

    hop: str
    place: str
    ms: float | None = None


@click.command()
@click.argument("type", required=False)
@click.argument("fields", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--within", type=click.FloatRange(0.1, 600), default=30, help="Seconds to wait.")
@click.option("--lake", is_flag=True, help="Wait until the lake has it too.")
@server_options
@json_option
def smoke(  # noqa: PLR0913  # the options of the command
    *,
    type: str | None,  # noqa: A002  # the argument's name
    fields: tuple[str, ...],
    within: float,
    lake: bool,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Send one event, wait for it by its token, and show every hop it took.

    Without a TYPE it sends the first event of the metrics' executable examples that the platform
    would accept. The event counts, in the tenant of your key. Exit code 1 when it is not visible in
    time.

    \b
    agentflow smoke
    agentflow smoke order.created amount=1.00 currency=EUR --lake
    """  # noqa: D301  # click's marker for "do not wrap"
    with connected(url, api_key) as client:
        catalog = client.catalog()
        name, data = _event(client, catalog, type, fields)
        hops = _follow(client, catalog, name, data, within=within, lake=lake)
    if as_json:
        emit({"event": name, "hops": [asdict(hop) for hop in hops]})
        return
    rows = [(hop.hop, "" if hop.ms is None else f"{hop.ms:.1f} ms", hop.place) for hop in hops]
    write_table(("hop", "after", "place"), rows)


def _event(
    client: AgentFlow, catalog: Json, name: str | None, fields: Sequence[str]
) -> tuple[str, dict[str, object]]:
    """Return type and data: what was asked for, or an example that would be accepted."""
    if name is None:
        return _accepted_example(client, catalog)
    contract = contract_of(catalog, name, None)
    return str(contract["name"]), completed(contract, data_of(contract, fields), at=now())


def _accepted_example(client: AgentFlow, catalog: Json) -> tuple[str, dict[str, object]]:
    """Return the first example that is a whole event: many say only what their metric reads.

    Its key is a fresh one where that is text; a number stays as it is.

    Raises:
        Failure: None is; it says what is wrong with the first of them.
        UsageError: There is none.
    """
    refused: tuple[str, tuple[str, ...]] | None = None
    for name, given in _examples(catalog):
        contract = contract_of(catalog, name, None)
        without_key = {name: value for name, value in given.items() if name != contract.get("key")}
        data = given | completed(contract, without_key, at=now())
        found = client.dry_run(name, data, source=_SOURCE)
        if found.accepted:
            return name, data
        refused = refused or (name, tuple(str(error) for error in found.errors))
    if refused is None:
        raise click.UsageError("no metric has an example to send: name a TYPE and its values")
    raise Failure(
        f"no example is a whole event; the first, {refused[0]}, would be rejected",
        exit_code=REFUSED,
        code="event_rejected",
        details=refused[1],
        hint=f"Name the values yourself: agentflow smoke {refused[0]} NAME=VALUE ...",
    )


def _examples(catalog: Json) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield each event type of the examples with its data, once for each set of fields."""
    seen = set()
    for metric in catalog["metrics"]:
        for example in metric["examples"] if metric["status"] == "approved" else ():
            for given in example["given"]:
                ((reference, data),) = given.items()
                name = reference.partition("@")[0]
                fields = frozenset(data.keys() - _RESERVED)
                if (name, fields) not in seen:
                    seen.add((name, fields))
                    yield name, {key: data[key] for key in fields}


_RESERVED = frozenset({"time", "id", "tenant"})


def _follow(
    client: AgentFlow,
    catalog: Json,
    name: str,
    data: Mapping[str, object],
    *,
    within: float,
    lake: bool,
) -> list[Hop]:
    began = time.perf_counter()

    def elapsed() -> float:
        return (time.perf_counter() - began) * 1000

    event = client.event(name, dict(data), source=_SOURCE)
    receipt = client.send_event(event)
    taken_ms = elapsed()
    (outcome,) = receipt.events
    if outcome.status != "accepted":
        details = tuple(str(error) for error in outcome.errors)
        raise Failure(
            "the event was refused", exit_code=REFUSED, code="event_rejected", details=details
        )
    say(f"{name} {outcome.id}")
    _visible(client, receipt.token, within=within)
    visible_ms = elapsed()
    moved = [m["name"] for m in catalog["metrics"] if _moved_by(m, name)]
    answered = _answer(client, moved, receipt.token)
    hops = [
        Hop("taken", "POST /v1/events answered", taken_ms),
        Hop("visible", "a read that waited for its token was answered", visible_ms),
    ]
    if answered:
        hops.append(Hop("metric", answered, elapsed()))
    found, lake_ms = _hops(client, str(event["id"]), elapsed, within=within if lake else 0)
    return hops + [_placed(hop, lake_ms) for hop in found]


def _visible(client: AgentFlow, token: str, *, within: float) -> None:
    from agentflow_sdk import AgentFlowError

    try:
        client.wait(token, seconds=within)
    except AgentFlowError as error:
        raise Failure(
            f"the event is not visible after {within:g} s: {error}",
            exit_code=NO,
            code="not_yet_visible",
            hint="See `agentflow doctor` and GET /v1/health: they name the hop that is behind.",
        ) from error


def _moved_by(metric: Json, name: str) -> bool:
    return metric["status"] == "approved" and any(
        reference.partition("@")[0] == name for reference in metric["moved_by"]
    )


def _answer(client: AgentFlow, names: Sequence[str], token: str) -> str | None:
    """Read the first of the metrics the event moves, covering it."""
    if not names:
        return None
    answer = client.metric(names[0], wait=token)
    return f"{answer.metric} answered: {answer.status}"


def _hops(
    client: AgentFlow, event_id: str, elapsed: Callable[[], float], *, within: float
) -> tuple[Sequence[Json], float | None]:
    """Return the places the platform knows; the lake's when it comes in time."""
    deadline = time.monotonic() + within
    while True:
        found: Sequence[Json] = client.lineage_of_event(event_id, source=_SOURCE)["hops"]
        in_lake = any(hop["hop"] == "lake" for hop in found)
        if in_lake or time.monotonic() >= deadline:
            return found, elapsed() if in_lake and within else None
        time.sleep(_LAKE_PAUSE_SECONDS)  # a catalog does not announce a commit


def _placed(hop: Json, lake_ms: float | None) -> Hop:
    parts = [
        f"{name} {hop[name]}"
        for name in ("topic", "table", "offset", "snapshot_id", "at")
        if name in hop
    ]
    if metrics := hop.get("metrics"):
        parts.append(f"moves {', '.join(metrics)}")
    return Hop(hop["hop"], ", ".join(parts), lake_ms if hop["hop"] == "lake" else None)
