"""Chooses the parts: settings in, a running platform with its API out."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import resource
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import structlog
import uvicorn

from agentflow.clock import Clock, SystemClock
from agentflow.contracts import Registry
from agentflow.errors import ParameterError, UnavailableError
from agentflow.settings import Settings
from agentflow.supervision import ended
from agentflow.wording import quoted
from control_store.wiring import control_of, key_hashing
from processing.definitions.compiling import load_compiled
from processing.lake import Lake
from processing.lake.wiring import lake_location, lake_that_is_followed
from processing.platform import Platform
from processing.publication.publishing import record_changes
from processing.recovery.rebuild import Progress, no_progress
from processing.runtime.memory import give_back, settle_allocator
from processing.wiring import open_platform
from serving.access.keys import parse_keys
from serving.access.limits import RateLimitPolicy
from serving.access.origins import loopback
from serving.http.connections import ConnectionLimits, Connections
from serving.server.app import AccessOptions, Api, create_app
from serving.server.protocol import hot_protocol
from serving.server.stopping import Server

if TYPE_CHECKING:
    from ingestion.stream.port import Broker

log = structlog.get_logger()

_SAME_SIGNAL_SECONDS = 0.5
_SWITCH_SECONDS = 0.0002
"""Between threads: the lake writer must not hold the event loop up for the default 5 ms."""
_COLLECT_AFTER = 20_000
"""Objects before the youngest generation is collected: events are many, small and short-lived.

What it takes holds the event loop up: 10 ms for so many.
"""
_OTHER_FILES = 512
"""Files that are not connections: the log, the lake's, the broker's."""
_FEWEST_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Running:
    """A platform that serves.

    Attributes:
        url: Where; with the port that was picked when 0 was asked for.
    """

    platform: Platform
    url: str


def open_from(settings: Settings, *, clock: Clock) -> Platform:
    """Open the platform *settings* describe.

    Raises:
        ContractFilesError: The contract files are wrong.
        StorageError: The data directory cannot be used.
        UnavailableError: The broker does not answer, and there is no replica to serve from.
    """
    platform = _open(settings, clock=clock)
    platform.health.lake_budget = timedelta(seconds=settings.lake_budget_seconds)
    return platform


def _open(settings: Settings, *, clock: Clock) -> Platform:
    registry = load_compiled(settings.contracts_dir)
    if settings.bus != "embedded":
        return _open_stream(settings, registry, clock=clock)
    interval = timedelta(seconds=settings.lake_interval_seconds)
    return open_platform(
        settings.data_dir,
        registry,
        clock=clock,
        lake_interval=interval,
        lake_location=lake_location(settings),
        open_control=control_of(settings),
    )


def _open_stream(settings: Settings, registry: Registry, *, clock: Clock) -> Platform:
    from ingestion.buses import BUSES
    from processing.follow.opening import StreamOptions, open_stream_platform
    from processing.transformations.stream import StreamGate

    broker = BUSES[settings.bus].broker(settings, lambda: StreamGate(registry).change_topics)
    opening = lake_that_is_followed(settings)
    if not settings.lake_catalog:
        opening = _the_lake_of_the_gate(opening, broker)
    options = StreamOptions(
        backlog_events=settings.backlog_events,
        look_every=timedelta(seconds=settings.lake_interval_seconds),
        open_lake=opening,
        open_control=control_of(settings),
    )
    return open_stream_platform(settings.data_dir, registry, broker, clock=clock, options=options)


def _the_lake_of_the_gate(
    opening: Callable[[Registry], Lake], broker: Broker
) -> Callable[[Registry], Lake]:
    """Return what opens the lake, and refuses one that the gate does not write."""

    def opened(registry: Registry) -> Lake:
        lake = opening(registry)
        known = broker.lake_id()
        if known is not None and known != lake.identity:
            lake.close()
            raise ParameterError(
                f"the gate does not write the lake in {quoted(lake.directory)}",
                hint="Set AGENTFLOW_LAKE_DIR to the folder it writes (DIR/lake of its data "
                "directory), or AGENTFLOW_LAKE_CATALOG for the gate and every platform.",
            )
        return lake

    return opened


def build_app(platform: Platform, settings: Settings) -> Api:
    """Build the API over *platform*."""
    policy = (
        RateLimitPolicy(settings.rate_limit, settings.rate_limit_window_seconds)
        if settings.rate_limit
        else None
    )
    keys = parse_keys(settings.api_keys)
    return create_app(
        platform,
        keys=keys,
        policy=policy,
        load_contracts=lambda: load_compiled(settings.contracts_dir),
        access=AccessOptions(
            any_host=settings.without_keys,
            wrong_keys_per_minute=settings.wrong_keys_per_minute,
            streams=settings.streams,
            streams_per_key=settings.streams_per_key,
            token_secret=settings.token_secret,
            key_hashing=key_hashing(settings, make=bool(keys)),
            keys_away_seconds=settings.keys_away_seconds,
        ),
    )


@asynccontextmanager
async def running(
    settings: Settings,
    *,
    clock: Clock | None = None,
    progress: Progress = no_progress,
    interrupted: asyncio.Event | None = None,
) -> AsyncIterator[Running]:
    """Run the platform and its API while the body runs; the body is cancelled when it must stop.

    The API answers before live state is complete (`/v1/health/ready` says so); the body starts when
    it is.

    With *interrupted*, the first signal only sets it, so that the body can end in its own way.

    Raises:
        UnavailableError: The port is taken.
        ParameterError: Other machines can reach the address, and there are no keys.
    """
    require_keys(settings)
    listener = _listener(settings)
    with closing(listener):
        platform = open_from(settings, clock=clock or SystemClock())
        app = build_app(platform, settings)
        server = _server(app, settings, on_stop=app.close)
        _stop_on_signals(server, interrupted)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        watching = app.start()
        saving = platform.supervisor.task(
            "snapshots",
            "live",
            partial(save_snapshots, platform, every=settings.snapshot_interval_seconds),
        )
        try:
            await platform.start(progress=progress)
            await asyncio.to_thread(record_changes, platform, platform.registry, known=None)
            gc.freeze()
            port = listener.getsockname()[1]
            async with _ending_with(serving):
                yield Running(platform, f"http://{settings.host}:{port}")
        finally:
            server.should_exit = True
            await ended([saving])  # only it writes the last snapshot
            await serving
            await ended(watching)
            await app.finish()
            await platform.close()
            gc.unfreeze()


def require_keys(settings: Settings) -> None:
    """Refuse to serve other machines without keys, unless told to.

    Raises:
        ParameterError: The address is not loopback, and there are no keys.
    """
    if settings.without_keys or loopback(settings.host) or parse_keys(settings.api_keys):
        return
    if key_hashing(settings, make=False) is not None:
        return
    raise ParameterError(
        f"other machines can reach the address {quoted(settings.host)}, and there are no API keys",
        hint="Set AGENTFLOW_API_KEYS to key:tenant, or listen on 127.0.0.1; "
        "AGENTFLOW_WITHOUT_KEYS=true serves everyone who can reach it.",
    )


def tune_runtime() -> None:
    """Set what the whole process shares; called by commands that serve, once."""
    faulthandler.enable()  # a crash in native code leaves a trace of every thread on stderr
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(_COLLECT_AFTER, 20, 50)
    settle_allocator()
    _open_more_files()


def run(main: Callable[[], Awaitable[int]]) -> int:
    """Run *main* on uvloop and return its exit code; an interrupt is a normal end."""
    import uvloop

    tune_runtime()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(_awaited(main))
        except KeyboardInterrupt:
            return 0


async def _awaited(main: Callable[[], Awaitable[int]]) -> int:
    return await main()


def _server(app: Api, settings: Settings, *, on_stop: Callable[[], None]) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=hot_protocol(app, Connections(connection_limits(settings))),
        ws="none",
        loop="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        backlog=2048,
    )
    return Server(config, on_stop=on_stop)


def connection_limits(settings: Settings) -> ConnectionLimits:
    """Return what connections may cost, no more of them than this process may open files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    affordable = max(files - _OTHER_FILES, _FEWEST_CONNECTIONS)
    if settings.connections > affordable:
        log.warning("connections.limited", connections=affordable, open_files=files)
    return ConnectionLimits(
        connections=min(settings.connections, affordable),
        per_address=settings.connections_per_address,
        header_bytes=settings.header_bytes,
        header_seconds=settings.header_seconds,
        body_seconds=settings.body_seconds,
        body_bytes_per_second=settings.body_bytes_per_second,
        idle_seconds=settings.idle_seconds,
        stall_seconds=settings.stall_seconds,
        proxies=frozenset(split_list(settings.trusted_proxies)),
    )


def split_list(text: str) -> list[str]:
    """Return what commas separate.

    >>> split_list("10.0.0.1, 10.0.0.2,")
    ['10.0.0.1', '10.0.0.2']
    """
    return [part for each in text.split(",") if (part := each.strip())]


def _open_more_files() -> None:
    """Raise the soft limit of open files to the hard one: a connection is a file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems say "unlimited" and do not mean it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _stop_on_signals(server: uvicorn.Server, interrupted: asyncio.Event | None) -> None:
    """Stop gracefully on the first interrupt or termination, at once on the second.

    What follows at once is the same Ctrl-C: a runner between the terminal and us hands it on.
    """
    heard = -inf

    def stop() -> None:
        nonlocal heard
        now, before = loop.time(), heard
        heard = now
        if now - before < _SAME_SIGNAL_SECONDS:
            return
        if interrupted is not None and not interrupted.is_set():
            interrupted.set()
            return
        server.force_exit = server.should_exit
        server.should_exit = True

    loop = asyncio.get_running_loop()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)


def _listener(settings: Settings) -> socket.socket:
    try:
        listener = socket.create_server((settings.host, settings.port), backlog=2048)
    except OSError as error:
        raise UnavailableError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}",
            hint="Choose another port with --port, or --port 0 for any free one.",
        ) from error
    listener.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    return listener


@asynccontextmanager
async def _ending_with(serving: asyncio.Task[None]) -> AsyncIterator[None]:
    """Cancel the body when the server stops (a signal), and leave quietly then."""
    body = asyncio.current_task()
    assert body is not None  # noqa: S101 - this runs inside a task
    stopped = False

    def stop(_: object) -> None:
        nonlocal stopped
        stopped = True
        body.cancel()

    serving.add_done_callback(stop)
    try:
        yield
    except asyncio.CancelledError:
        if not stopped:
            raise
        body.uncancel()
    finally:
        serving.remove_done_callback(stop)


async def save_snapshots(platform: Platform, *, every: float) -> None:
    """Save the live state each time *every* seconds have passed, until it fails or is cancelled.

    After a failure it is saved at once: its next start has waited already.
    """
    supervisor = platform.supervisor
    saving = supervisor.activity("snapshots", "live")
    while True:
        if saving.status.state != "failing":
            await supervisor.timers.sleep(every)
        if platform.ready:
            await platform.save_snapshot()
            give_back()
        saving.well()
