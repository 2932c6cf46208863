"""Whether memory stays flat while events keep arriving over HTTP.

`make soak` is the whole thing: 35 minutes at 200 events a second on the default settings, after
which the lake has to be at the end of the log, maintenance done at least twice, and every number
proved. In `make bench` it is two minutes at a higher rate, which shows what an event leaves behind,
though not what time does.

The figure is the median of what the process holds over the last fifth of the run, over the median
of the fifth that follows the warm-up. The shop's metrics have windows that are full by then
(`tests.bench.steady`): what grows by nature, with all of them, is a matter of what is asked, and
would hide what grows by mistake.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from agentflow.contracts import Registry
from ingestion.generate import Profile, read_scenario
from tests.bench.figures import Figure, median
from tests.bench.report import print_table, record
from tests.bench.server import KEY, Served, platform_server
from tests.bench.steady import write_steady_shop
from tests.bench.wire import Connection, request
from tests.bench.world import CONTRACTS, SEED, now_us, shop

SECONDS = 120.0
RATE = 1_000
SOAK_MINUTES = 35.0
MAINTENANCES = 2
_SETTLE_SECONDS = 60.0
SOAK_RATE = 200
GOAL = 1.1
_WARM_UP = 0.2
_BATCH_SECONDS = 0.05
_SAMPLE_SECONDS = 1.0
_ARRAY = "application/cloudevents-batch+json"
_READS = ("revenue?window=all&currency=EUR", "active_sessions", "p95_payment_time")
_WINDOWS = ((1_500.0, "5m"), (300.0, "1m"))
"""So many seconds of a run, and a window that is full after its first fifth."""
_SHORTEST = "5s"


@dataclass(frozen=True, slots=True)
class _Sample:
    """How much memory was held at one moment of the run."""

    second: float
    rss_mib: float


def measure(scale: float) -> Iterable[Figure]:
    """Run the short version."""
    yield soak(SECONDS * scale, RATE)


@dataclass(frozen=True, slots=True)
class Ending:
    """What was found at the end of a run, and what is wrong with it."""

    health: dict[str, Any]
    verified: dict[str, Any]
    maintenances: int

    def faults(self, *, maintenances: int) -> list[str]:
        """Say what is not as it has to be; nothing when all is."""
        found = []
        if events := self.health["lag"]["events"]:
            found.append(f"the lake is {events} events behind the log")
        if self.maintenances < maintenances:
            found.append(f"maintenance was done {self.maintenances} times, not {maintenances}")
        ill = {n: p for n, p in self.health["components"].items() if p["status"] != "ok"}
        found += [f"{name} is {part['status']}: {part['detail']}" for name, part in ill.items()]
        if not self.verified.get("verified"):
            found.append(f"verify is not green: {json.dumps(self.verified)[:2_000]}")
        return found


def ending(server: Served) -> Ending:
    """Wait until the lake has what was sent, then have every number proved."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while (health := _json(server, "/v1/health"))["lag"]["events"]:
        if time.monotonic() > deadline:
            break
        time.sleep(1)
    verified = _json(server, "/v1/verify")
    return Ending(health, verified, maintenances(_body(server, "/metrics").decode()))


def maintenances(figures: str) -> int:
    """Return how often the lake was maintained, by the platform's own figures."""
    name = "agentflow_processing_lake_maintenances_total"
    lines = (line.split() for line in figures.splitlines())
    return next((int(float(line[1])) for line in lines if line[:1] == [name]), 0)


def _json(server: Served, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_body(server, path))
    return found


def _body(server: Served, path: str) -> bytes:
    connection = Connection(server.host, server.port)
    try:
        return connection.ask(request("GET", path, key=KEY)).body
    finally:
        connection.close()


def soak(seconds: float, rate: int, *, at_end: Callable[[Served], None] = lambda _: None) -> Figure:
    """Send *rate* events a second for *seconds*, with reads among them; then call *at_end*."""
    window = next((name for least, name in _WINDOWS if seconds >= least), _SHORTEST)
    with TemporaryDirectory() as scratch:
        contracts = Path(scratch) / "contracts"
        write_steady_shop(contracts, window=window)
        with platform_server(contracts=contracts) as server:
            samples, sent = _run(server, shop(), max(seconds, 3.0), rate)
            at_end(server)
    end = samples[-1].second
    early = _within(samples, end * _WARM_UP, end * (_WARM_UP + 0.2))
    late = _within(samples, end * 0.8, end)
    half = _within(samples, end * 0.5, end * 0.6)
    return Figure(
        "memory late in a run over early in it",
        late / early,
        GOAL,
        "ratio",
        "at_most",
        {
            "seconds": seconds,
            "window": window,
            "rate": float(rate),
            "events": float(sent),
            "rss_mib_start": samples[0].rss_mib,
            "rss_mib_early": early,
            "rss_mib_middle": half,
            "rss_mib_late": late,
            "bytes_per_event": (late - early) * 2**20 / (sent * 0.6),
            **{
                f"rss_mib_{tenth}0_percent": _within(
                    samples, end * (tenth - 1) / 10, end * tenth / 10
                )
                for tenth in range(1, 11)
            },
        },
    )


def _within(samples: list[_Sample], start: float, end: float) -> float:
    chosen = [one.rss_mib for one in samples if start <= one.second <= end]
    return median(chosen or [samples[-1].rss_mib])


def _run(
    server: Served, registry: Registry, seconds: float, rate: int
) -> tuple[list[_Sample], int]:
    """Return the samples, and how many events were sent."""
    generator = read_scenario(CONTRACTS, registry).generator(
        seed=SEED, start_us=now_us(), profile=Profile(rate=rate, bad=0)
    )
    events = generator.events()
    connection = Connection(server.host, server.port)
    reads = [request("GET", f"/v1/metrics/{read}", key=KEY) for read in _READS]
    begun = time.monotonic()
    samples = [_Sample(0.0, server.rss_mib())]
    sent = 0
    while (elapsed := time.monotonic() - begun) < seconds:
        due = int(elapsed * rate) - sent
        if due > 0:
            body = b"[%b]" % b",".join(next(events).value for _ in range(min(due, 5_000)))
            sent += min(due, 5_000)
            wanted = request(
                "POST", "/v1/events", key=KEY, headers={"content-type": _ARRAY}, body=body
            )
            try:
                response = connection.ask(wanted)
            except OSError:  # kept waiting by other processes, the server closed an idle connection
                connection.close()
                connection = Connection(server.host, server.port)
                response = connection.ask(wanted)
            if response.status != 200:
                raise RuntimeError(f"{response.status}: {response.body[:500]!r}")
        for read in reads:
            connection.ask(read)
        if elapsed - samples[-1].second >= _SAMPLE_SECONDS:
            samples.append(_Sample(elapsed, server.rss_mib()))
        time.sleep(_BATCH_SECONDS)
    samples.append(_Sample(time.monotonic() - begun, server.rss_mib()))
    connection.close()
    return samples, sent


def main() -> int:
    """Run the long version: `python -m tests.bench.memory`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=SOAK_MINUTES)
    parser.add_argument("--rate", type=int, default=SOAK_RATE)
    options = parser.parse_args()
    endings: list[Ending] = []
    figure = soak(
        options.minutes * 60, options.rate, at_end=lambda server: endings.append(ending(server))
    )
    faults = endings[0].faults(maintenances=min(MAINTENANCES, int(options.minutes / 11)))
    print_table([figure])
    record([figure], name="soak")
    sys.stdout.write(msgspec.json.encode(figure.context).decode() + "\n")
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    return 0 if figure.met and not faults else 1


if __name__ == "__main__":
    sys.exit(main())
