"""HTTP batch intake: four connections that each send the next thousand events when the last are in.

The answer lists each event, as it does unless the sender asks for `detail=errors`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Sequence

from tests.bench.figures import Figure, median
from tests.bench.server import KEY, Served, platform_server
from tests.bench.wire import Connection, request
from tests.bench.world import now_us, shop, stream

EVENTS = 200_000
BATCH = 1_000
CONNECTIONS = 4
RATE = 10_000
ARRAY = "application/cloudevents-batch+json"


def measure(scale: float) -> Iterable[Figure]:
    """Measure on a platform of its own, after a tenth of the events as a warm-up."""
    count = max(int(EVENTS * scale), 4 * BATCH)
    start_us = now_us() - int(count / RATE * 1e6)
    events = [item.value for item in stream(shop(), count, rate=RATE, start_us=start_us)]
    requests = [
        request(
            "POST",
            "/v1/events",
            key=KEY,
            headers={"content-type": ARRAY},
            body=b"[%b]" % b",".join(batch),
        )
        for start in range(0, count, BATCH)
        if (batch := [value for value in events[start : start + BATCH] if _json(value)])
    ]
    warm_up = max(len(requests) // 10, 1)
    with platform_server() as server:
        _send(server, requests[:warm_up])
        cpu, begun = server.cpu_seconds(), time.perf_counter()
        times = _send(server, requests[warm_up:])
        wall, cpu = time.perf_counter() - begun, server.cpu_seconds() - cpu
    sent = (len(requests) - warm_up) * BATCH
    yield Figure(
        "HTTP batch intake",
        sent / wall,
        20_000,
        "events/s",
        "at_least",
        {
            "events": float(sent),
            "batch": float(BATCH),
            "connections": float(CONNECTIONS),
            "request_p50_ms": median(times) * 1000,
            "request_max_ms": max(times) * 1000,
            "per_server_cpu_second": sent / cpu,
        },
    )


def _json(value: bytes) -> bool:
    """Tell whether it is JSON; a sender that writes arrays cannot have put anything else in."""
    try:
        json.loads(value, parse_constant=_refuse)
    except ValueError:
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _send(server: Served, requests: Sequence[bytes]) -> list[float]:
    """Send everything over all connections; return the seconds each request took."""
    times: list[float] = []
    waiting = iter(requests)
    lock = threading.Lock()
    failed: list[int] = []

    def sender() -> None:
        connection = Connection(server.host, server.port)
        while True:
            with lock:
                sent = next(waiting, None)
            if sent is None:
                break
            begun = time.perf_counter()
            response = connection.ask(sent)
            times.append(time.perf_counter() - begun)
            if response.status not in {200, 207}:
                failed.append(response.status)
        connection.close()

    threads = [threading.Thread(target=sender) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed or len(times) != len(requests):
        raise RuntimeError(f"{len(times)} of {len(requests)} requests answered, failed: {failed}")
    return times
