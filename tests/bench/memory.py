"""Whether memory stays flat while events keep arriving over HTTP.

`make soak` is the whole thing: 30 minutes at 200 events a second. In `make bench` it is two minutes
at a higher rate, which shows what an event leaves behind, though not what time does.

The figure is the median of what the process holds over the last fifth of the run, over the median
of the fifth that follows the warm-up.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from agentflow.contracts import Registry
from ingestion.generate import Profile, read_world
from tests.bench.figures import Figure, median
from tests.bench.report import print_table, record
from tests.bench.server import KEY, Served, platform_server
from tests.bench.wire import Connection, request
from tests.bench.world import CONTRACTS, SEED, now_us, shop

SECONDS = 120.0
RATE = 1_000
SOAK_MINUTES = 30.0
SOAK_RATE = 200
GOAL = 1.1
_WARM_UP = 0.2
_BATCH_SECONDS = 0.05
_SAMPLE_SECONDS = 1.0
_ARRAY = "application/cloudevents-batch+json"
_READS = ("revenue?window=1h&currency=EUR", "active_sessions?window=5m", "p95_payment_time")


@dataclass(frozen=True, slots=True)
class _Sample:
    """How much memory was held at one moment of the run."""

    second: float
    rss_mib: float


def measure(scale: float) -> Iterable[Figure]:
    """Run the short version."""
    yield soak(SECONDS * scale, RATE)


def soak(seconds: float, rate: int) -> Figure:
    """Send *rate* events a second for *seconds*, with reads among them."""
    registry = shop()
    with platform_server() as server:
        samples, sent = _run(server, registry, max(seconds, 3.0), rate)
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
    generator = read_world(CONTRACTS, registry).generator(
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
    figure = soak(options.minutes * 60, options.rate)
    print_table([figure])
    record([figure], name="soak")
    sys.stdout.write(msgspec.json.encode(figure.context).decode() + "\n")
    return 0 if figure.met else 1


if __name__ == "__main__":
    sys.exit(main())
