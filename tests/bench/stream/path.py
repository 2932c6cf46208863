"""Latency of the whole stream path: produce → validated → answer, and commit → answer.

Kafka, both Flink jobs, the catalog, S3 and the platform run beside the producer and the readers on
the same cores, and the lake is written all the while. Every sample is counted; one that did not
arrive is infinite. Times begin when an event was due, so a producer that lags counts as well.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from math import inf
from pathlib import Path

import psutil
import psycopg

from agentflow_sdk import AgentFlow, ProblemError
from ingestion.generate import Profile, read_scenario
from ingestion.kafka.admin import KafkaAdmin
from ingestion.keys import KeyExtractor
from stack.errors import StackError
from stack.hops import Hops, Sample
from stack.path import StreamPath
from stack.probe import wait_until
from stack.services import MariaDb, Postgres
from stack.shop import create_tables, insert_order
from tests.bench.figures import Figure, percentile
from tests.bench.machine import compiler_seconds, load_average
from tests.bench.world import ROOT, SCRATCH

SAMPLES = 1_000
RATES = (200, 1_000)
READS_PER_SECOND = 20
COMMITS = 1_000
METRIC = "page_views?window=all"
WARM_UP_EVENTS = 100_000
WARM_UP_RATE = 1_000
CAUGHT_UP_WITHIN = 240.0
COMPILERS_REST = 0.1
COMPILED_WITHIN = 400.0
GOALS = {"p50": 10.0, "p95": 50.0, "p99": 200.0}
_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def measure(scale: float) -> Iterable[Figure]:
    """Measure everything on one path, the databases captured."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        databases = {"shop": Postgres(), "warehouse": MariaDb()}
        planned = StreamPath(
            Path(scratch), ROOT / "contracts", prefix="bench", databases=databases, without_c2=False
        )
        with planned.running() as path:
            create_tables(path)
            path.capture()
            samples = max(int(SAMPLES * scale), 20)
            _warm(path)
            for rate in RATES:
                every = max(rate // READS_PER_SECOND, 1)
                with _compiling(path) as compilers:
                    psutil.cpu_percent()
                    found = _under_load(path, rate, samples, every)
                    busy = psutil.cpu_percent() / 100
                yield from _latencies(rate, found, busy=busy, compilers=compilers())
            yield from _commits(path, max(int(COMMITS * scale), 10))


def _warm(path: StreamPath) -> None:
    """Let Java compile what it will need: until then, times are those of its compilers.

    First much, so that all of it is seen; then what is measured first, until compilers rest. It
    needs as long whatever the scale.
    """
    every = 1_000
    _under_load(path, WARM_UP_RATE, WARM_UP_EVENTS // every, every)
    if not wait_until(lambda: _caught_up(path), within=CAUGHT_UP_WITHIN):
        raise StackError("the path lags behind", fix=f"Read {path.flink.log_path}.")
    deadline = time.monotonic() + COMPILED_WITHIN
    share = inf
    while share > COMPILERS_REST and time.monotonic() < deadline:
        with _compiling(path) as compilers:
            _under_load(path, RATES[0], samples=200, every=RATES[0] // READS_PER_SECOND)
        share = compilers()


@contextmanager
def _compiling(path: StreamPath) -> Iterator[Callable[[], float]]:
    """Yield what tells, after the block, how much of a core compilers took meanwhile."""
    pids = [*path.flink.pids, *path.lake_flink.pids, *path.kafka.pids]
    began, before = time.monotonic(), compiler_seconds(pids)
    share = inf
    yield lambda: share
    share = (compiler_seconds(pids) - before) / (time.monotonic() - began)


def _caught_up(path: StreamPath) -> bool:
    """Tell whether an event that is produced now is answered within a second."""
    (sample,) = _under_load(path, 1, samples=1, every=1)
    return sample.answered - sample.due < 1


def _under_load(path: StreamPath, rate: int, samples: int, every: int) -> list[Sample]:
    hops = Hops(
        path.config, cluster=KafkaAdmin(path.config).cluster_id(), url=path.api.url, metric=METRIC
    )
    hops.run(_events(path), rate=rate, count=samples * every, every=every)
    return hops.watched.samples


def _events(path: StreamPath) -> Iterator[tuple[bytes | None, bytes]]:
    """Yield key and value of the generator's events, from now on."""
    keys = KeyExtractor(path.registry)
    world = read_scenario(path.contracts, path.registry)
    profile = Profile(rate=1_000, bad=0, duplicate=0, late=0)
    now_us = time.time_ns() // 1_000
    generated = world.generator(seed=now_us, start_us=now_us, profile=profile).events()
    for event in generated:
        yield keys.key(event.value), event.value


def _latencies(
    rate: int, samples: list[Sample], *, busy: float, compilers: float
) -> Iterator[Figure]:
    validated = [(each.validated - each.due) * 1_000 for each in samples]
    answered = [(each.answered - each.due) * 1_000 for each in samples]
    acked = [(each.acked - each.due) * 1_000 for each in samples]
    context = {
        "rate": float(rate),
        "reads_per_second": float(READS_PER_SECOND),
        "samples": float(len(samples)),
        "timeouts": float(sum(value == inf for value in answered)),
        "load": load_average(),
        "cores_busy": busy,
        "compilers_cores": compilers,
        "acked_p50_ms": percentile(acked, 0.5),
        "acked_p95_ms": percentile(acked, 0.95),
        "validated_p50_ms": percentile(validated, 0.5),
        "validated_p95_ms": percentile(validated, 0.95),
    }
    yield Figure(
        f"produce to validated topic at {rate}/s, the lake being written, p99",
        percentile(validated, 0.99),
        25.0,
        "ms",
        "at_most",
        context,
    )
    for name, share in _SHARES.items():
        value = percentile(answered, share)
        yield Figure(
            f"produce to answer at {rate}/s, {name}", value, GOALS[name], "ms", "at_most", context
        )


def _commits(path: StreamPath, count: int) -> Iterator[Figure]:
    """Insert a row, commit, and ask for the order until the platform knows it."""
    postgres = path.databases["shop"]
    assert isinstance(postgres, Postgres)
    took: list[float] = []
    with (
        psycopg.connect(postgres.dsn("shop"), autocommit=True) as connection,
        AgentFlow(path.api.url, timeout_seconds=30) as client,
    ):
        for number in islice(range(10**9), count):
            order = f"BENCH-{number}"
            insert_order(connection, order)
            began = time.perf_counter()
            took.append(_known(client, order, began))
    context = {"samples": float(count), "timeouts": float(took.count(inf)), "load": load_average()}
    yield Figure(
        "database commit to answer, p50", percentile(took, 0.5), 150.0, "ms", "at_most", context
    )


def _known(client: AgentFlow, order: str, began: float) -> float:
    while time.perf_counter() - began < 10:
        try:
            client.entity("order", order)
        except ProblemError:
            continue
        return (time.perf_counter() - began) * 1_000
    return inf
