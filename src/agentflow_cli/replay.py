"""`agentflow replay`: a file of the past, sent as events."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentflow.errors import AgentFlowError
from agentflow.wording import counted
from agentflow_cli.connection import connected
from agentflow_cli.failure import NO, Failure
from agentflow_cli.options import (
    contracts_directory,
    contracts_option,
    json_option,
    server_options,
)
from agentflow_cli.output import Watch, emit, progress, say
from agentflow_cli.sending import Sender, Transport

if TYPE_CHECKING:
    from agentflow_sdk import AgentFlow
    from ingestion.replay import Phase, Replayed

_SHOWN_PROBLEMS = 10
_UNMAPPED = "row_unmapped"


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--mapping", help="Name of the mapping; else the one whose files match.")
@click.option("--in-file-order", is_flag=True, help="As they stand, not by event time.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Events a second.")
@click.option("--limit", type=click.IntRange(1), help="Stop after that many events.")
@contracts_option
@server_options
@json_option
def replay(  # noqa: PLR0913  # the options of the command
    *,
    file: Path,
    mapping: str | None,
    in_file_order: bool,
    rate: float | None,
    limit: int | None,
    contracts_dir: Path | None,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Send the rows of FILE (CSV, TSV, JSON lines, Parquet; also .gz and .zip) as events.

    A mapping beside the contracts says what the rows are; JSON lines of CloudEvents need none.
    Sending a file twice counts it once. A platform that restarts is waited for, five minutes long.
    Ends with exit code 1 when something was rejected.
    """
    from agentflow_sdk import AgentFlowError as PlatformError

    contracts_dir = contracts_directory(contracts_dir)
    with progress(f"replaying {file.name}") as watch:
        events = _events(file, mapping, contracts_dir, ordered=not in_file_order, watch=watch)
        events = islice(events, limit)
        with connected(url, api_key) as client:
            sender = Sender(_transport(client, watch), rate=rate)
            started = time.monotonic()
            try:
                with suppress(KeyboardInterrupt):
                    while batch := list(islice(events, sender.batch_size)):
                        sender.send(batch)
                        watch.note(f"{counted(sender.counts.total(), 'event')} sent")
                sender.settle()
            except (AgentFlowError, PlatformError):
                _say_how_far(sender)
                raise
            seconds = time.monotonic() - started
    _report(sender, seconds, as_json=as_json)


def _transport(client: AgentFlow, watch: Watch) -> Transport:
    from agentflow_sdk import ProblemError

    def waiting(name: str) -> AbstractSet[str]:
        letters = client.dead_letters(reason=_UNMAPPED, type=name)
        return {letter.event_id for letter in letters if letter.event_id is not None}

    def newest() -> int | None:
        try:
            page = client.dead_letter_page(limit=1)
        except ProblemError as error:
            if error.code != "scope_missing":
                raise
            return None  # a key that may only send is not told what was there before
        return next((letter.offset for letter in page.dead_letters), None)

    def since(number: int) -> Iterable[int]:
        numbers = (letter.offset for letter in client.dead_letters())
        return takewhile(lambda each: each != number, numbers)

    def tell(words: str) -> None:
        watch.note(words)
        say(words)

    return Transport(client.send_lines, waiting, newest, since, time.monotonic, time.sleep, tell)


def _say_how_far(sender: Sender) -> None:
    if sender.counts.total():
        sent = counted(sender.counts.total(), "event")
        say(f"{sent} sent so far; run it again: nothing counts twice")


def _events(
    file: Path, mapping: str | None, contracts_dir: Path, *, ordered: bool, watch: Watch
) -> Iterator[Replayed]:
    from agentflow.lint import load
    from ingestion.replay import mapping_for, read_mappings, replay

    mappings = read_mappings(contracts_dir, load(contracts_dir)) if contracts_dir.is_dir() else {}
    chosen = mapping_for(file, mappings, name=mapping)

    def told(phase: Phase, fraction: float) -> None:
        if phase == "sorting":
            watch.note("sorting by event time")
        watch.fraction(fraction)

    return replay(file, chosen, ordered=ordered, progress=told)


def _report(sender: Sender, seconds: float, *, as_json: bool) -> None:
    counts = {name: sender.counts[name] for name in ("accepted", "duplicates", "rejected")}
    total = sum(counts.values())
    if as_json:
        told = {"rejected_before": sender.rejected_before, "seconds": round(seconds, 3)}
        emit({"events": total, **counts, **told, "token": sender.token})
    else:
        for problem in sender.problems[:_SHOWN_PROBLEMS]:
            say(problem)
        if len(sender.problems) > _SHOWN_PROBLEMS:
            say(f"and {len(sender.problems) - _SHOWN_PROBLEMS} more")
        for name, count in counts.items():
            click.echo(f"{name:<10}  {count:,}")
        if sender.rejected_before:
            say(f"{sender.rejected_before:,} of the rejected were dead letters before this run")
        speed = total / max(seconds, 1e-9)
        say(f"{counted(total, 'event')} in {seconds:.1f} s, {speed:,.0f} a second")
    if counts["rejected"]:
        raise Failure(
            f"{counts['rejected']:,} of {counted(total, 'event')} rejected",
            exit_code=NO,
            code="events_rejected",
            hint="They wait among the dead letters: see `agentflow deadletter list`.",
        )
