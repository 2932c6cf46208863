"""`make stack-demo`: a shop on the whole stream path, each hop in milliseconds."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agentflow_sdk import AgentFlow, AgentFlowError, Answer
from ingestion.generate import Profile, read_scenario
from ingestion.kafka.admin import KafkaAdmin
from ingestion.keys import KeyExtractor
from stack.errors import StackError
from stack.home import REPOSITORY
from stack.hops import Hops, Sample
from stack.path import StreamPath
from stack.services import MariaDb, Postgres
from stack.shop import Shop, create_tables

_RATE = 100
_SAID_SECONDS = 10.0
_SLICE_SECONDS = 2
_REDRAW_SECONDS = 0.5
_SHOWN = (
    "revenue", "order_count", "cancellation_rate", "net_captured", "error_rate", "page_views",
    "active_sessions", "conversion_rate", "stock_movement", "p95_payment_time",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the demonstration went.

    Attributes:
        verified: Whether every live number equals its recompute from the tables Flink wrote.
    """

    orders: int
    movements: int
    produced: int
    hops_ms: dict[str, float]
    verified: bool


class Demonstration:
    """A shop in two databases and producers beside it, until you have seen enough."""

    def __init__(self, path: StreamPath) -> None:
        """Plan it on a path that runs."""
        self._path = path
        self._stopping = Event()
        self._shop = Shop(path, orders_per_second=5, seed=7)
        self.produced = 0
        self.samples: list[Sample] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Do business and produce while the body runs."""
        thread = Thread(target=self._produce)
        with self._shop.open():
            thread.start()
            try:
                yield
            finally:
                self._stopping.set()
                thread.join()

    def hops_ms(self) -> dict[str, float]:
        """Return the medians of the last samples, in milliseconds from the producer on."""
        recent = self.samples[-100:]
        return {
            name: _median([(getattr(each, name) - each.due) * 1_000 for each in recent])
            for name in ("acked", "validated", "answered")
        }

    def outcome(self, *, verified: bool) -> Outcome:
        """Return what was done."""
        shop = self._shop
        return Outcome(shop.orders, shop.movements, self.produced, self.hops_ms(), verified)

    def _produce(self) -> None:
        keys, path = KeyExtractor(self._path.registry), self._path
        world = read_scenario(path.contracts, path.registry)
        now_us = time.time_ns() // 1_000
        generated = world.generator(
            seed=now_us, start_us=now_us, profile=Profile(rate=_RATE, bad=0.005)
        ).events()
        events = ((keys.key(event.value), event.value) for event in generated)
        cluster = KafkaAdmin(path.config).cluster_id()
        while not self._stopping.is_set():
            hops = Hops(
                path.config, cluster=cluster, url=path.api.url, metric="page_views?window=all"
            )
            hops.run(events, rate=_RATE, count=_RATE * _SLICE_SECONDS, every=10)
            self.produced += _RATE * _SLICE_SECONDS
            self.samples += hops.watched.samples


def show(demonstration: Demonstration, client: AgentFlow, console: Console, seconds: float) -> None:
    """Show the moving table for some seconds; on a pipe, a line every ten."""
    deadline = time.monotonic() + seconds
    if not console.is_terminal:
        _say_progress(demonstration, client, console, deadline)
        return
    with Live(console=console, auto_refresh=False) as live:
        while time.monotonic() < deadline:
            time.sleep(_REDRAW_SECONDS)
            live.update(Group(_table(client), _hops(demonstration)), refresh=True)


def _say_progress(
    demonstration: Demonstration, client: AgentFlow, console: Console, deadline: float
) -> None:
    """Say now and then how it goes, a line each."""
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(_SAID_SECONDS, left))
        answer = client.metric(_SHOWN[0])
        revenue = f"{answer.metric} {_value(answer)} {answer.status}, {answer.events:,} events; "
        console.print(Text(revenue) + _hops(demonstration))


def _table(client: AgentFlow) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("metric", "window", "value", "status", "events"):
        table.add_column(title)
    for name in _SHOWN:
        answer = client.metric(name)
        table.add_row(
            name, answer.window.name or "", _value(answer), answer.status, f"{answer.events:,}"
        )
    return table


def _value(answer: Answer) -> str:
    if answer.value is None and answer.groups:
        return "  ".join(f"{group.value} {group.unit}" for group in answer.groups[:3])
    return "-" if answer.value is None else f"{answer.value} {answer.unit or ''}"


def _hops(demonstration: Demonstration) -> Text:
    found = demonstration.hops_ms()
    return Text(
        "produced → in Kafka {acked:.1f} ms → judged by Flink {validated:.1f} ms"
        " → in an answer {answered:.1f} ms".format(**found),
        style="bold",
    )


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def _verified(client: AgentFlow) -> bool:
    """Compare every number with the tables Flink wrote, once they hold what was answered."""
    try:
        return client.verify().verified
    except AgentFlowError as error:
        sys.stderr.write(f"not verified: {error}\n")
        return False


def main() -> int:
    """Start the path, run the shop, prove every number; 0 when all are equal."""
    parser = argparse.ArgumentParser(prog="python -m stack.demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--directory", type=Path, help="keep data and logs there")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON")
    options = parser.parse_args()
    console = Console(stderr=True)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ExitStack() as stack:
            directory = options.directory or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="agentflow-stack-"))
            )
            outcome = _demonstrate(directory, console, options.seconds)
    except StackError as error:
        console.print(f"[red]error:[/red] {error}")
        return 1
    except KeyboardInterrupt:
        console.print("[red]interrupted before the numbers were compared[/red]")
        return 1
    console.print(
        f"[{'green' if outcome.verified else 'red'}]every number "
        f"{'equals' if outcome.verified else 'does NOT equal'} the recompute from the lake[/]  "
        f"[dim]{outcome.orders} orders in PostgreSQL, {outcome.movements} movements in MariaDB, "
        f"{outcome.produced:,} events in Kafka[/dim]"
    )
    if options.json:
        sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
    return 0 if outcome.verified else 1


def _interrupt(number: int, frame: object) -> None:
    """End as on Ctrl-C: every service that was started is stopped."""
    del number, frame
    raise KeyboardInterrupt


def _demonstrate(directory: Path, console: Console, seconds: float) -> Outcome:
    databases: dict[str, Postgres | MariaDb] = {"shop": Postgres(), "warehouse": MariaDb()}
    planned = StreamPath(directory, REPOSITORY / "contracts", databases=databases)

    def told(name: str, took: float | None, place: str) -> None:
        said = "starting …" if took is None else f"ready in {took:5.1f} s"
        console.print(f"  {name:<14} {said}  [dim]{place}[/dim]", highlight=False)

    with planned.running(told) as path, AgentFlow(path.api.url, timeout_seconds=120) as client:
        path.timed("shop's tables", told, lambda: create_tables(path))
        path.timed("connectors", told, path.capture)
        console.print(f"[bold]{path.api.url}[/bold]  [dim]page ·[/dim] {path.api.url}/docs")
        demonstration = Demonstration(path)
        console.print("[dim]Ctrl-C, or SIGTERM, ends it and compares every number[/dim]")
        with demonstration.running():
            try:
                show(demonstration, client, console, seconds)
            except KeyboardInterrupt:
                console.print("[dim]stopping …[/dim]")
        console.print("[dim]comparing every number with the tables that Flink wrote …[/dim]")
        return demonstration.outcome(verified=_verified(client))


if __name__ == "__main__":
    sys.exit(main())
