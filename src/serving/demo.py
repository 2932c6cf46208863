"""What `agentflow up` and `agentflow demo` run: the platform, a generator, the moving table."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.live import Live
from rich.progress import Progress, TaskID

from agentflow.events import RawEvent
from agentflow.settings import Settings
from agentflow.wording import counted
from ingestion.generate import Profile, paced, read_scenario
from processing.platform import Platform
from processing.recovery.rebuild import Progress as ProgressTold
from serving.table import MetricTable
from serving.wiring import Running, running

_SAID_SECONDS = 5.0
_REDRAW_SECONDS = 0.2
TENANT = "default"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demonstration does.

    Attributes:
        rate: Events a second.
        seconds: How long it runs; None until it is interrupted.
    """

    seed: int
    rate: float
    seconds: float | None


class DemoReport(msgspec.Struct, frozen=True):
    """How the demonstration went; the last line of `agentflow demo --json`.

    Attributes:
        freshness_ms: Percentiles of the time from arrival to being part of every answer.
        verified: Whether every metric equals its recompute from the lake, to the last digit.
    """

    events: int
    rejected: int
    duplicates: int
    seconds: float
    freshness_ms: dict[str, float]
    numbers_compared: int
    verified: bool


async def feed(platform: Platform, contracts_dir: Path, options: DemoOptions) -> None:
    """Send generated events into *platform* at the asked rate until cancelled."""
    clock = platform.clock
    world = read_scenario(contracts_dir, platform.registry)
    generator = world.generator(
        seed=options.seed, start_us=clock.now_us(), profile=Profile(rate=options.rate)
    )
    async for batch in paced(generator.events(), clock=clock, sleep=asyncio.sleep):
        now_us = clock.now_us()
        await platform.ingest([RawEvent(item.value, TENANT, now_us) for item in batch])


def percentiles(latencies_us: Iterable[int]) -> dict[str, float]:
    """Return p50, p95 and p99 in milliseconds; empty when nothing was measured."""
    ordered = sorted(latencies_us)
    if not ordered:
        return {}

    def at(q: float) -> float:
        return round(ordered[min(int(q * len(ordered)), len(ordered) - 1)] / 1000, 3)

    return {"p50": at(0.50), "p95": at(0.95), "p99": at(0.99)}


async def report(platform: Platform, *, seconds: float) -> DemoReport:
    """Verify every metric against the lake and say how it went."""
    checks = await platform.verification.verify()
    counts = platform.intake.counts
    return DemoReport(
        events=sum(counts.values()),
        rejected=counts["rejected"],
        duplicates=counts["duplicate"],
        seconds=round(seconds, 3),
        freshness_ms=percentiles(platform.intake.latencies_us),
        numbers_compared=sum(check.numbers for check in checks),
        verified=all(check.equal for check in checks),
    )


async def run_up(settings: Settings, *, console: Console, as_json: bool = False) -> int:
    """Run the platform until it is told to stop; return the exit code.

    With *as_json* a line `{"url": …}` on stdout says when it is ready and where.

    Raises:
        AgentFlowError: It cannot start.
    """
    with progress_bar(console) as progress:
        starting = AsyncExitStack()
        run = await starting.enter_async_context(running(settings, progress=progress))
    async with starting:
        _announce(run, console)
        if as_json:
            print(msgspec.json.encode({"url": run.url}).decode(), flush=True)  # noqa: T201 - data
        try:
            await asyncio.Event().wait()
        finally:
            console.print("[dim]stopping: requests end, the lake takes the last events …[/dim]")
    console.print(f"[dim]stopped; everything is in {settings.data_dir}[/dim]", highlight=False)
    return 0


async def demonstrate(
    settings: Settings, options: DemoOptions, *, console: Console, as_json: bool
) -> int:
    """Run the demonstration and say how it went: 0 when every metric was verified, else 1.

    Raises:
        AgentFlowError: It cannot start.
    """
    outcome = await run_demo(settings, options, console=console)
    if outcome is None:
        console.print("[red]interrupted before the numbers were compared[/red]")
        return 1
    style = "green" if outcome.verified else "red"
    said = "equal" if outcome.verified else "NOT equal"
    console.print(
        f"[{style}]{counted(outcome.numbers_compared, 'number')} {said}"
        " to the recompute from the lake"
        f"[/{style}]  [dim]{counted(outcome.events, 'event')}, {outcome.rejected:,} rejected, "
        f"fresh within {_percentiles_text(outcome.freshness_ms)}[/dim]"
    )
    if as_json:
        print(msgspec.json.encode(outcome).decode(), flush=True)  # noqa: T201 - data
    return 0 if outcome.verified else 1


def _percentiles_text(milliseconds: dict[str, float]) -> str:
    """Render percentiles for people.

    >>> _percentiles_text({"p50": 1.25, "p95": 70.87})
    '1.2 ms (p50), 70.9 ms (p95)'
    """
    return ", ".join(f"{value:.1f} ms ({name})" for name, value in milliseconds.items())


async def run_demo(
    settings: Settings, options: DemoOptions, *, console: Console
) -> DemoReport | None:
    """Run the platform and the generator, show the moving table, and verify at the end.

    Returns None when it was told to stop, by a second signal, before all was verified.

    Raises:
        AgentFlowError: It cannot start.
    """
    interrupted = asyncio.Event()
    async with running(settings, interrupted=interrupted) as run:
        _announce(run, console)
        started = time.monotonic()
        sending = asyncio.create_task(feed(run.platform, settings.contracts_dir, options))
        showing = asyncio.create_task(_show(run.platform, console))
        ending = asyncio.create_task(_once(interrupted))
        try:
            await asyncio.wait(
                {sending, showing, ending},
                timeout=options.seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            await _cancelled(ending)
            await _cancelled(showing)
            await _cancelled(sending)
        seconds = time.monotonic() - started
        console.print(
            "[dim]verifying every metric against the lake … (Ctrl-C again ends without it)[/dim]"
        )
        return await report(run.platform, seconds=seconds)
    return None


async def _once(event: asyncio.Event) -> None:
    await event.wait()


async def _cancelled(task: asyncio.Task[None]) -> None:
    """End *task*; what it failed of before is raised here."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _show(platform: Platform, console: Console) -> None:
    table = MetricTable(platform, TENANT)
    if not console.is_terminal:
        await asyncio.Event().wait()
    with Live(table.render(), console=console, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(_REDRAW_SECONDS)
            live.update(table.render(), refresh=True)


def _announce(run: Running, console: Console) -> None:
    rebuilt = run.platform.rebuilt
    if rebuilt is not None and rebuilt.events:
        events = counted(rebuilt.events, "event")
        console.print(f"[dim]live state: {events} from the {rebuilt.source}[/dim]")
    console.print(f"[bold]{run.url}[/bold]  [dim]page ·[/dim] {run.url}/docs  [dim]API[/dim]")


@contextmanager
def progress_bar(console: Console) -> Iterator[ProgressTold]:
    """Show progress that may be told from any thread; on a pipe, a line now and then."""
    if not console.is_terminal:
        yield _progress_lines(console)
        return
    bar = Progress(console=console, transient=True)
    tasks: dict[str, TaskID] = {}

    def told(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done, total=total)

    with bar:
        yield told


def _progress_lines(console: Console) -> ProgressTold:
    said = time.monotonic()

    def told(what: str, done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= _SAID_SECONDS:
            said = now
            console.print(f"{what}: {done:,} of {total:,}", highlight=False)

    return told
