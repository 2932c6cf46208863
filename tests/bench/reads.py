"""A metric read with key, rate limit and entity tag, beside a raw ASGI server sending its bytes.

Both servers run at the same time in processes of their own; short slices alternate between them, so
that whatever else the machine does meets both. What is compared is requests per second of processor
time of the server process: it is the same ratio as that of requests per second while each server
has a core to itself, and holds when it has not. Load comes from `wrk` (`scripts/install-debian
wrk`); without it from a client of our own that writes many requests at once.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from tests.bench.figures import Figure, median
from tests.bench.server import KEY, Served, child, platform_server
from tests.bench.wire import Connection, Response, request
from tests.bench.world import ROOT, now_us, shop, stream

TARGET = "/v1/metrics/revenue?window=all&currency=EUR"
SLICES = 8
SLICE_SECONDS = 2.0
CONNECTIONS = 16
EVENTS = 3_000
_SENT_AT_ONCE = 32
_SAME = ("content-type", "etag", "cache-control", "vary")


@dataclass(frozen=True, slots=True)
class _Slice:
    """What one server did in one slice."""

    per_second: float
    per_cpu_second: float


def measure(scale: float) -> Iterable[Figure]:
    """Measure whole answers, then answers that nothing changed."""
    seconds = max(SLICE_SECONDS * scale, 0.2)
    slices = SLICES if scale >= 1 else 2
    with platform_server() as server:
        known = _prepared(server)
        for name, goal, status in (
            ("metric read over raw ASGI", 0.70, 200),
            ("unchanged read (304) over raw ASGI", 0.80, 304),
        ):
            tag = (known.header(b"etag") or b"").decode()
            headers = {"if-none-match": tag} if status == 304 else {}
            with _raw(known, status) as raw:
                pairs = [
                    (_load(server, headers, seconds), _load(raw, headers, seconds))
                    for _ in range(slices)
                ]
            _require_status(server, headers, status)
            yield Figure(
                name,
                median([ours.per_cpu_second / raws.per_cpu_second for ours, raws in pairs]),
                goal,
                "ratio",
                "at_least",
                {
                    "by_wall_clock": median([o.per_second / r.per_second for o, r in pairs]),
                    "reads_per_cpu_second": median([ours.per_cpu_second for ours, _ in pairs]),
                    "reads_per_second": median([ours.per_second for ours, _ in pairs]),
                    "raw_per_cpu_second": median([raws.per_cpu_second for _, raws in pairs]),
                    "best_pair": max(o.per_cpu_second / r.per_cpu_second for o, r in pairs),
                    "bytes": float(len(known.body)),
                    "slices": float(slices),
                    "client": "wrk" if shutil.which("wrk") else "own",
                },
            )


def _prepared(server: Served) -> Response:
    """Give the platform events and return the answer to the question."""
    connection = Connection(server.host, server.port)
    for item in stream(shop(), EVENTS, rate=EVENTS / 600, start_us=now_us() - 600_000_000):
        connection.ask(request("POST", "/v1/events", key=KEY, body=item.value))
    answer = connection.ask(request("GET", TARGET, key=KEY))
    connection.close()
    if answer.status != 200 or not json.loads(answer.body)["events"]:
        raise RuntimeError(f"{TARGET} answered {answer.status}: {answer.body!r}")
    return answer


def _require_status(server: Served, headers: dict[str, str], status: int) -> None:
    """Fail unless the question is still answered the way it was meant to be."""
    connection = Connection(server.host, server.port)
    answer = connection.ask(request("GET", TARGET, key=KEY, headers=headers))
    connection.close()
    if answer.status != status:
        raise RuntimeError(f"expected {status}, the answer is {answer.status}")


@contextmanager
def _raw(known: Response, status: int) -> Iterator[Served]:
    """Run the yardstick, with the headers an application could not leave out."""
    headers = [
        (name, value.decode())
        for name in _SAME
        if (value := known.header(name.encode())) is not None
    ]
    asked = json.dumps({"status": status, "headers": headers, "body": known.body.decode()})
    command = [
        *("sh", "-c", 'printf "%s\\n" "$0" | exec "$@"', asked),
        *(sys.executable, "-m", "tests.bench.raw_server"),
    ]
    with child(command, {"PYTHONPATH": str(ROOT)}) as (process, line):
        found = psutil.Process(process.pid)
        python = next((one for one in found.children() if "python" in one.name()), found)
        yield Served("127.0.0.1", int(line), python)


def _load(server: Served, headers: dict[str, str], seconds: float) -> _Slice:
    """Ask for *seconds* as fast as the server answers."""
    load: Callable[[Served, dict[str, str], float], int] = _wrk if shutil.which("wrk") else _own
    cpu, begun = server.cpu_seconds(), time.perf_counter()
    count = load(server, headers, seconds)
    wall, cpu = time.perf_counter() - begun, server.cpu_seconds() - cpu
    return _Slice(count / wall, count / max(cpu, 0.01))


def _wrk(server: Served, headers: dict[str, str], seconds: float) -> int:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(round(seconds), 1)}s"]
    for name, value in {"x-api-key": KEY, **headers}.items():
        command += ["-H", f"{name}: {value}"]
    command.append(f"http://{server.host}:{server.port}{TARGET}")
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    done = re.search(r"(\d+) requests in", said)
    if done is None or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    return int(done[1])


def _own(server: Served, headers: dict[str, str], seconds: float) -> int:
    """Write many requests at once and count the answers by their first line."""
    block = request("GET", TARGET, key=KEY, headers=headers) * _SENT_AT_ONCE
    connections = [Connection(server.host, server.port) for _ in range(4)]
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        for connection in connections:
            connection.send(block)
        for connection in connections:
            count += connection.count_answers(_SENT_AT_ONCE)
    for connection in connections:
        connection.close()
    return count
