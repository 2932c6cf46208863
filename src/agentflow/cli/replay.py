"""`agentflow replay`: a file of the past, sent as events."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentflow.cli.connection import connected
from agentflow.cli.failure import NO, Failure
from agentflow.cli.options import (
    contracts_directory,
    contracts_option,
    json_option,
    server_options,
)
from agentflow.cli.output import Watch, emit, progress, say

if TYPE_CHECKING:
    from agentflow_sdk import AgentFlow
    from ingestion.replay import Replayed

_BATCH = 2_000
_SHOWN_PROBLEMS = 10


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
    Sending a file twice counts it once. Ends with exit code 1 when something was rejected.
    """
    contracts_dir = contracts_directory(contracts_dir)
    with progress(f"replaying {file.name}") as watch:
        events = _events(file, mapping, contracts_dir, ordered=not in_file_order, watch=watch)
        events = islice(events, limit)
        with connected(url, api_key) as client:
            sender = _Sender(client, rate)
            started = time.monotonic()
            with suppress(KeyboardInterrupt):
                while batch := list(islice(events, sender.batch_size)):
                    sender.send(batch)
                    watch.note(f"{sender.counts.total():,} events")
            seconds = time.monotonic() - started
    _report(sender, seconds, as_json=as_json)


class _Sender:
    """Sends batches, at most so many events a second, and counts what became of them."""

    def __init__(self, client: AgentFlow, rate: float | None) -> None:
        self._client = client
        self._rate = rate
        self._due = time.monotonic()
        self.batch_size = _BATCH if rate is None else max(1, min(_BATCH, int(rate / 10)))
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.token = ""

    def send(self, batch: list[Replayed]) -> None:
        """Send one batch; what it breaks is noted with its row."""
        if self._rate is not None:
            time.sleep(max(0.0, self._due - time.monotonic()))
            self._due = max(self._due, time.monotonic() - 1) + len(batch) / self._rate
        receipt = self._client.send_lines([event.value for event in batch])
        self.token = receipt.token
        self.counts.update(
            accepted=receipt.accepted, duplicates=receipt.duplicates, rejected=receipt.rejected
        )
        for outcome in receipt.rejections:
            event = batch[outcome.index]
            words = event.problem or "; ".join(str(error) for error in outcome.errors)
            self.problems.append(f"row {event.row}: {words}")


def _events(
    file: Path, mapping: str | None, contracts_dir: Path, *, ordered: bool, watch: Watch
) -> Iterator[Replayed]:
    from agentflow.contracts import load
    from ingestion.replay import mapping_for, read_mappings, replay

    mappings = read_mappings(contracts_dir, load(contracts_dir)) if contracts_dir.is_dir() else {}
    chosen = mapping_for(file, mappings, name=mapping)
    return replay(file, chosen, ordered=ordered, progress=watch.fraction)


def _report(sender: _Sender, seconds: float, *, as_json: bool) -> None:
    counts = {name: sender.counts[name] for name in ("accepted", "duplicates", "rejected")}
    total = sum(counts.values())
    if as_json:
        emit({"events": total, **counts, "seconds": round(seconds, 3), "token": sender.token})
    else:
        for problem in sender.problems[:_SHOWN_PROBLEMS]:
            say(problem)
        if len(sender.problems) > _SHOWN_PROBLEMS:
            say(f"and {len(sender.problems) - _SHOWN_PROBLEMS} more")
        for name, count in counts.items():
            click.echo(f"{name:<10}  {count:,}")
        say(f"{total:,} events in {seconds:.1f} s, {total / max(seconds, 1e-9):,.0f} a second")
    if counts["rejected"]:
        raise Failure(
            f"{counts['rejected']:,} of {total:,} events were rejected",
            exit_code=NO,
            code="events_rejected",
            hint="They wait among the dead letters: see `agentflow deadletter list`.",
        )
