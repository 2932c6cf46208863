"""A platform and its API over a control store in PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from agentflow.clock import SystemClock
from agentflow.contracts import Registry
from agentflow.supervision import Activity
from control_store.opened import ControlReport, OpenControl, OpenedControl
from control_store.postgres.database import Limits
from control_store.postgres.opening import open_postgres
from processing.platform import Platform
from processing.wiring import open_platform
from serving.server.app import create_app

LIMITS = Limits(seconds=0.5, connections=4)
PATIENCE_SECONDS = 30.0
COUNT = "/v1/metrics/order_count?window=all"


class Shop:
    """A platform and its API over a control store in PostgreSQL."""

    def __init__(self, platform: Platform, run: Callable[[Awaitable[Any]], Any]) -> None:
        self.platform = platform
        self.run = run
        api: Any = create_app(platform, load_contracts=lambda: platform.registry)
        self.client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=api), base_url="http://localhost"
        )

    def send(self, *requests: tuple[str, str, dict[str, Any]]) -> list[httpx2.Response]:
        """Send requests at once, and wait for the answer to each."""

        async def all_of_them() -> list[httpx2.Response]:
            sent = (self.client.request(method, url, **more) for method, url, more in requests)
            return await asyncio.wait_for(asyncio.gather(*sent), PATIENCE_SECONDS)

        found: list[httpx2.Response] = self.run(all_of_them())
        return found

    def get(self, url: str) -> Any:  # noqa: ANN401 - JSON is whatever it is
        return self.send(("GET", url, {}))[0].json()

    def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop run until *condition* holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline
            self.run(asyncio.sleep(0.01))

    def control(self) -> dict[str, str]:
        found: dict[str, str] = self.get("/v1/health")["components"]["control"]
        return found


def in_postgres(url: str) -> OpenControl:
    def opened(_: Path, activity: Activity) -> OpenedControl:
        return OpenedControl(open_postgres(url, activity, LIMITS), ControlReport("opened"))

    return opened


@contextmanager
def shop(data_dir: Path, registry: Registry, url: str) -> Iterator[Shop]:
    platform = open_platform(data_dir, registry, clock=SystemClock(), open_control=in_postgres(url))
    with asyncio.Runner() as runner:
        runner.run(platform.start())
        try:
            yield Shop(platform, runner.run)  # type: ignore[arg-type]
        finally:
            runner.run(platform.close())


def placed(name: str, key: str | None = None) -> tuple[str, str, dict[str, Any]]:
    """Return the request that sends one order, with or without a key."""
    event = {
        "id": name,
        "source": "/shop",
        "type": "order.created",
        "data": {"order_id": name, "amount": "10.00", "currency": "EUR", "country": "DE"},
    }
    headers = {} if key is None else {"idempotency-key": key}
    return "POST", "/v1/events", {"json": event, "headers": headers}
