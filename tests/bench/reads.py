"""A metric read with key, rate limit and entity tag, beside a raw ASGI server sending its bytes.

The servers run at the same time in processes of their own; short slices alternate between them, in
turned order every other time, so that whatever else the machine does meets all of them. What is
compared is requests per second of processor time of the server process: it is the same ratio as
that of requests per second while each server has a core to itself, and holds when it has not. The
figure is the median over rounds. The platform is measured a second time without its own protocol,
as any ASGI app on the same server, to see what the protocol gives (ADR 0009).

Load comes from `wrk` (`scripts/install-debian wrk`); without it from a client of our own that
writes many requests at once.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import psutil

from tests.bench.figures import Figure, median
from tests.bench.server import KEY, Served, child, platform_server
from tests.bench.wire import Connection, Response, request
from tests.bench.world import ROOT, now_us, shop, stream

TARGET = "/v1/metrics/revenue?window=all&currency=EUR"
ROUNDS = 16
SLICE_SECONDS = 1.0
"""The least that `wrk` can do; a smaller share of a measurement is left to our own client."""
CONNECTIONS = 16
EVENTS = 1_000
_SENT_AT_ONCE = 32
_AS_ASGI = (
    "import serving.wiring; from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol; "
    "serving.wiring.hot_protocol = lambda *_: HttpToolsProtocol"
)
"""Run before the platform starts: it is served as ASGI alone."""
_SAME = ("content-type", "etag", "cache-control", "vary")

Headers: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Slice:
    """What one server did in one slice."""

    per_second: float
    per_cpu_second: float


def measure(scale: float) -> Iterable[Figure]:
    """Measure whole answers, then answers that nothing changed."""
    rounds, seconds = max(round(ROUNDS * scale), 1), SLICE_SECONDS * min(ROUNDS * scale, 1)
    with platform_server() as ours, platform_server(before=_AS_ASGI) as as_asgi:
        known, known_as_asgi = _prepared(ours), _prepared(as_asgi)
        for name, goal, status in (
            ("metric read over raw ASGI", 0.70, 200),
            ("unchanged read (304) over raw ASGI", 0.80, 304),
        ):
            with _raw(known, status) as raw:
                servers = {
                    "ours": (ours, _condition(known, status)),
                    "raw": (raw, _condition(known, status)),
                    "as_asgi": (as_asgi, _condition(known_as_asgi, status)),
                }
                seen = [_round(servers, seconds, number) for number in range(rounds)]
            for answering in ("ours", "as_asgi"):
                _require_status(*servers[answering], status)
            yield _figure(name, goal, seen, size=len(known.body))


def _round(
    servers: Mapping[str, tuple[Served, Headers]], seconds: float, number: int
) -> dict[str, _Slice]:
    """Load each server for one slice, in turned order every other time."""
    order = reversed(servers.items()) if number % 2 else servers.items()
    return {name: _load(*server, seconds) for name, server in order}


def _figure(name: str, goal: float, rounds: Sequence[dict[str, _Slice]], *, size: int) -> Figure:
    def over_raw(server: str) -> list[float]:
        return [one[server].per_cpu_second / one["raw"].per_cpu_second for one in rounds]

    def best(server: str) -> float:
        return max(one[server].per_cpu_second for one in rounds)

    return Figure(
        name,
        median(over_raw("ours")),
        goal,
        "ratio",
        "at_least",
        {
            "best_round": max(over_raw("ours")),
            "worst_round": min(over_raw("ours")),
            "best_over_best": best("ours") / best("raw"),
            "without_protocol": median(over_raw("as_asgi")),
            "by_wall_clock": median([o["ours"].per_second / o["raw"].per_second for o in rounds]),
            "reads_per_second": median([one["ours"].per_second for one in rounds]),
            "reads_per_cpu_second": median([one["ours"].per_cpu_second for one in rounds]),
            "raw_per_cpu_second": median([one["raw"].per_cpu_second for one in rounds]),
            "bytes": float(size),
            "rounds": float(len(rounds)),
            "client": "wrk" if shutil.which("wrk") else "own",
        },
    )


def _condition(known: Response, status: int) -> Headers:
    return {"if-none-match": (known.header(b"etag") or b"").decode()} if status == 304 else {}


def _prepared(server: Served) -> Response:
    """Give the platform events and return the answer to the question."""
    connection = Connection(server.host, server.port)
    events = stream(shop(), EVENTS, rate=EVENTS / 600, start_us=now_us() - 600_000_000)
    lines = b"\n".join(item.value for item in events)
    kind = {"content-type": "application/x-ndjson"}
    connection.ask(request("POST", "/v1/events", key=KEY, body=lines, headers=kind))
    answer = connection.ask(request("GET", TARGET, key=KEY))
    connection.close()
    if answer.status != 200 or not json.loads(answer.body)["events"]:
        raise RuntimeError(f"{TARGET} answered {answer.status}: {answer.body!r}")
    return answer


def _require_status(server: Served, headers: Headers, status: int) -> None:
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
    command = [sys.executable, "-m", "tests.bench.raw_server", asked]
    with child(command, {"PYTHONPATH": str(ROOT)}) as (process, line):
        yield Served("127.0.0.1", int(line), psutil.Process(process.pid))


def _load(server: Served, headers: Headers, seconds: float) -> _Slice:
    """Ask for *seconds* as fast as the server answers."""
    for_wrk = seconds >= SLICE_SECONDS and shutil.which("wrk")
    load: Callable[[Served, Headers, float], int] = _wrk if for_wrk else _own
    cpu, begun = server.cpu_seconds(), time.perf_counter()
    count = load(server, headers, seconds)
    wall, cpu = time.perf_counter() - begun, server.cpu_seconds() - cpu
    return _Slice(count / wall, count / max(cpu, 0.01))


def _wrk(server: Served, headers: Headers, seconds: float) -> int:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(round(seconds), 1)}s"]
    for name, value in {"x-api-key": KEY, **headers}.items():
        command += ["-H", f"{name}: {value}"]
    command.append(f"http://{server.host}:{server.port}{TARGET}")
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    done = re.search(r"(\d+) requests in", said)
    if done is None or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    return int(done[1])


def _own(server: Served, headers: Headers, seconds: float) -> int:
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
