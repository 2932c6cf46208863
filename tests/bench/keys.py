"""A hot read with a stored, narrowed key beside one with a configured key, in one process.

Both have a rate limit. Slices alternate, in turned order every other time; figures are medians of
the ratios of rounds. Then the store gets 100,000 keys, and the same is measured again.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from time import process_time

import structlog
from sqlalchemy import insert

from agentflow.clock import SystemClock
from agentflow.events import RawEvent
from control_store.keys.hashing import KeyHashing
from control_store.keys.issuing import KeyIssuer, KeyRequest
from control_store.keys.port import Grant
from control_store.keys.tables import api_key_digests, api_keys
from processing.platform import Platform
from processing.wiring import open_platform
from serving.access.keys import parse_keys
from serving.access.limits import RateLimitPolicy
from serving.server.app import AccessOptions, Api, create_app
from tests.bench.figures import Figure, median
from tests.bench.world import SCRATCH, now_us, shop, stream

PATH, QUERY = "/v1/metrics/revenue", b"window=all&currency=EUR"
ROUNDS = 60
READS = 2_000
KEYS = 100_000
EVENTS = 1_000
_HASHING = KeyHashing(bytes(32))


def measure(scale: float) -> Iterable[Figure]:
    """Measure with one key in the store, then with many."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    SCRATCH.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="data-", dir=SCRATCH))
    try:
        return asyncio.run(_measured(directory, scale))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _measured(directory: Path, scale: float) -> list[Figure]:
    platform = open_platform(directory, shop(), clock=SystemClock())
    await platform.start()
    api = create_app(
        platform,
        keys=parse_keys("configured:default"),
        policy=RateLimitPolicy(1_000_000_000),
        access=AccessOptions(key_hashing=_HASHING),
    )
    events = stream(shop(), EVENTS, rate=EVENTS / 600, start_us=now_us() - 600_000_000)
    await platform.ingest([RawEvent(each.value, "default", now_us()) for each in events])
    issuer = KeyIssuer(platform.keys, _HASHING, platform.clock, secrets.token_bytes)
    grant = Grant(("metrics:read",), metrics=("revenue",), statuses=("approved",))
    wanted = KeyRequest("default", "bench", "bench", grant)
    stored = issuer.issue(wanted, who="bench").text
    rounds, reads = max(round(ROUNDS * scale), 1), max(round(READS * scale), 10)
    figures = []
    for name, more in (("one key", 0), ("100,000 keys", max(round(KEYS * scale), 10))):
        _fill(platform, more)
        await api.context.stored_keys.look()
        for key in ("configured", stored):
            await _asked(api, key)
        ratios = [await _ratio(api, stored, reads, number) for number in range(rounds)]
        figures.append(
            Figure(
                f"hot read with a stored key over a configured one, {name} in the store",
                median(ratios),
                0.90,
                "ratio",
                "at_least",
                {"best_round": max(ratios), "worst_round": min(ratios), "rounds": float(rounds)},
            )
        )
    api.close()
    await platform.close()
    return figures


def _fill(platform: Platform, count: int) -> None:
    """Put keys into the store, at once."""
    if not count:
        return
    keys = [
        {
            "number": number, "id": f"key_{number}", "tenant": "default", "name": "a key",
            "owner": "bench", "mode": "live", "grant": '{"scopes":["read"]}', "created_us": 1,
            "created_by": "bench", "uses": 0, "changed": number,
        }
        for number in range(10, count + 10)
    ]  # fmt: skip
    digests = [
        {"digest": number.to_bytes(32, "big"), "key_id": f"key_{number}", "created_us": 1}
        for number in range(10, count + 10)
    ]
    with platform.parts.control.database.writing() as connection:
        connection.execute(insert(api_keys), keys)
        connection.execute(insert(api_key_digests), digests)


async def _asked(api: Api, key: str) -> None:
    """Ask once as any ASGI server does, so that the question is known."""
    scope = {
        "type": "http", "method": "GET", "path": PATH, "query_string": QUERY, "client": None,
        "headers": [(b"host", b"localhost"), (b"x-api-key", key.encode())],
    }  # fmt: skip
    statuses = []

    async def send(message: dict[str, object]) -> None:
        statuses.append(message.get("status"))

    for _ in range(2):  # a stored key is looked up by the first
        await api(scope, _nothing, send)  # type: ignore[arg-type]
    if statuses[-2] != 200:
        raise RuntimeError(f"{PATH} answered {statuses}")


async def _nothing() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _ratio(api: Api, stored: str, reads: int, number: int) -> float:
    """Return reads per second of processor time with a stored key over those with another."""
    seconds = {}
    for key in ("configured", stored) if number % 2 else (stored, "configured"):
        headers = [(b"host", b"localhost"), (b"x-api-key", key.encode())]
        started = process_time()
        for _ in range(reads):
            if api.answer(PATH, QUERY, headers, "127.0.0.1") is None:
                await _asked(api, key)  # once a second a block of the rate limit is leased
        seconds[key] = process_time() - started
    return seconds["configured"] / max(seconds[stored], 1e-9)
