"""A real platform on an empty data directory, and its API without a socket."""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

import asyncio
import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest

from agentflow.clock import ManualClock
from agentflow.contracts import Registry
from agentflow.lint import load
from agentflow.supervision import ended
from agentflow.timers import ManualTimers, Timers
from processing.lake import open_lake
from processing.platform import Platform
from processing.wiring import open_platform
from serving.access.keys import parse_keys
from serving.access.limits import RateLimitPolicy
from serving.server.app import AccessOptions, Api, create_app

NOW_US = 1_790_000_000_000_000
"""2026-09-21T14:13:20Z."""
PATIENCE_SECONDS = 30.0
CONTRACTS = Path(__file__).parents[3] / "contracts"


@cache
def shop() -> Registry:
    """Return the contracts that are shipped; read once in a process."""
    return load(CONTRACTS)


@cache
def empty_lake() -> Path:
    """Return a lake of the shop without events: to copy its tables is quicker than to make them."""
    folder = tempfile.TemporaryDirectory(prefix="agentflow-")
    atexit.register(folder.cleanup)
    open_lake(Path(folder.name), shop()).close()
    return Path(folder.name)


class Served:
    """A platform, its API, and a loop to drive both from plain tests."""

    def __init__(self, platform: Platform, api: Api, clock: ManualClock, run: Any) -> None:
        self.platform = platform
        self.api = api
        self.clock = clock
        self.run: Callable[[Coroutine[Any, Any, Any]], Any] = run
        self.client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=api),  # type: ignore[arg-type]
            base_url="http://localhost",
        )

    def request(self, method: str, url: str, **options: Any) -> httpx2.Response:
        """Send one request."""
        response: httpx2.Response = self.run(self.client.request(method, url, **options))
        return response

    def get(self, url: str, **options: Any) -> httpx2.Response:
        """Send a GET."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx2.Response:
        """Send a POST."""
        return self.request("POST", url, **options)

    def send(self, *events: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Send events as one batch and return the answer."""
        answer: dict[str, Any] = self.post("/v1/events", json=list(events), **options).json()
        return answer

    def framework(self, url: str) -> httpx2.Response:
        """Send a GET past the hot path."""
        edge = self.api._app  # noqa: SLF001 - what the hot path stands in front of
        transport = httpx2.ASGITransport(app=edge)  # type: ignore[arg-type]
        client = httpx2.AsyncClient(transport=transport, base_url="http://localhost")
        response: httpx2.Response = self.run(client.get(url))
        return response


@contextmanager
def serving(  # noqa: PLR0913 - each is another part of one server
    data_dir: Path,
    *,
    keys: str = "",
    policy: RateLimitPolicy | None = None,
    registry: Registry | None = None,
    load_contracts: Callable[[], Registry] | None = None,
    access: AccessOptions | None = None,
    timers: Timers | None = None,
) -> Iterator[Served]:
    """Serve a platform while the body runs; of the shop, unless other contracts are given."""
    if registry is None and not (data_dir / "log.sqlite").exists():
        shutil.copytree(empty_lake(), data_dir / "lake")
    clock = timers.clock if isinstance(timers, ManualTimers) else ManualClock(NOW_US)
    contracts = registry or shop()
    platform = open_platform(data_dir, contracts, clock=clock, timers=timers)
    api = create_app(
        platform,
        keys=parse_keys(keys),
        policy=policy,
        load_contracts=load_contracts or (lambda: contracts),
        access=access,
    )
    with asyncio.Runner() as runner:
        runner.run(platform.start())
        watching = runner.run(started(api)) if access and access.key_hashing else ()
        try:
            yield Served(platform, api, clock, runner.run)
        finally:
            api.close()
            runner.run(ended(watching))
            runner.run(platform.close())


async def started(api: Api) -> Sequence[asyncio.Task[None]]:
    """Begin what runs in the background of an API."""
    return api.start()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Serve an empty platform to everybody."""
    with serving(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve one platform to all tests of a module that do not care what it holds."""
    with serving(tmp_path_factory.mktemp("shared")) as found:
        found.send(order("shared-1"), order("shared-2", channel="web"))
        yield found


def order(name: str, amount: str = "10.00", **data: Any) -> dict[str, Any]:
    """Return an `order.created` event whose id and order are called *name*."""
    return {
        "specversion": "1.0",
        "id": name,
        "source": "/shop",
        "type": "order.created",
        "data": {"order_id": name, "amount": amount, "currency": "EUR", "country": "DE", **data},
    }


class Wire:
    """One open stream, read message by message as a subscriber would."""

    def __init__(self, served: Served, url: str, **headers: str) -> None:
        path, _, query = url.partition("?")
        self._served = served
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._text = b""
        self.status = 0
        self._scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "http",
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 1),
            "headers": [
                (b"host", b"localhost"),
                *(
                    (name.replace("_", "-").lower().encode(), value.encode())
                    for name, value in headers.items()
                ),
            ],
        }
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        async def receive() -> dict[str, Any]:
            await self._gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            await self._queue.put(dict(message))

        self._task = asyncio.create_task(self._served.api(self._scope, receive, send))  # type: ignore[arg-type]
        start = await asyncio.wait_for(self._queue.get(), PATIENCE_SECONDS)
        self.status = start["status"]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gone.set()
        assert self._task is not None
        await asyncio.wait_for(self._task, PATIENCE_SECONDS)

    async def messages(self, count: int) -> list[dict[str, Any]]:
        """Return the next *count* messages, each with `id`, `event` and decoded `data`."""
        return [await self._next() for _ in range(count)]

    async def _next(self) -> dict[str, Any]:
        while True:
            block, found, rest = self._text.partition(b"\n\n")
            if not found:
                message = await asyncio.wait_for(self._queue.get(), PATIENCE_SECONDS)
                self._text += message.get("body", b"")
                continue
            self._text = rest
            fields = dict(
                line.split(": ", 1) for line in block.decode().split("\n") if line[:1] != ":"
            )
            if "data" in fields:
                return {**fields, "data": json.loads(fields["data"])}

    async def next_bytes(self) -> bytes:
        """Return what is written next."""
        message = await asyncio.wait_for(self._queue.get(), PATIENCE_SECONDS)
        body: bytes = message.get("body", b"")
        return body

    async def quiet(self) -> bool:
        """Tell whether nothing more is on its way once everything else has run."""
        for _ in range(20):
            await asyncio.sleep(0)
        while not self._queue.empty():
            self._text += self._queue.get_nowait().get("body", b"")
        return b"data:" not in self._text
