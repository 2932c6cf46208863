"""What a lake commit costs, what it does to an event loop, and three ways to ask the same files.

uv run --frozen pytest tests/bench/test_lake.py -m bench -s
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from agentflow.events import RawEvent
from agentflow.lint import load
from agentflow.metrics.plan import plan_metric
from agentflow.metrics.sql import QuerySpec
from ingestion.log.port import DEAD_LETTERS, VALIDATED, Accept, Batch
from processing.history import History
from processing.lake import (
    LakeReader,
    LakeThread,
    LakeWriter,
    Positions,
    compact,
    lake_health,
    open_lake,
)
from processing.lake.commit import OffsetRange, append
from processing.lake.rows import StoredEvent, rows_of
from quality import Accepted, Gate
from tests.fakes.memory_log import MemoryLog

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

COMMITS = 160
ROWS = 500
REGISTRY = load("contracts")
GATE = Gate(REGISTRY)
CREATED = REGISTRY.event("order.created").ref
NOW_US = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z
NEVER = timedelta(days=1)


def batch_of(documents: Sequence[dict[str, object]]) -> Batch:
    raws = [RawEvent(json.dumps(each).encode(), "acme", NOW_US) for each in documents]
    accepted = [GATE.judge(raw) for raw in raws]
    verdicts = []
    for verdict in accepted:
        assert isinstance(verdict, Accepted)
        event, value = verdict.event, GATE.encode(verdict.event)
        verdicts.append(
            Accept(
                identity=verdict.identity,
                type=event.type,
                version=event.version,
                tenant=event.tenant,
                key=verdict.key,
                value=value,
                occurred_us=event.occurred_us,
            )
        )
    return Batch(raws, verdicts)


def order(number: int) -> dict[str, object]:
    user = {"order_id": f"o{number}", "user_id": f"u{number % 97}"}
    data = {**user, "amount": f"{number % 900}.25", "currency": "EUR", "country": "DE"}
    return {"id": f"order-{number}", "source": "/shop", "type": "order.created", "data": data}


def cancelled(number: int) -> dict[str, object]:
    data = {"order_id": f"o{number}"}
    return {"id": f"cancel-{number}", "source": "/shop", "type": "order.cancelled", "data": data}


def ends(log: MemoryLog) -> Positions:
    return Positions(log.end(VALIDATED), log.end(DEAD_LETTERS))


def orders(first: int, count: int) -> list[StoredEvent]:
    log = MemoryLog()
    log.commit(batch_of([order(first + number) for number in range(count)]))
    records = log.read(VALIDATED, start=0, limit=count)
    return [StoredEvent(first + each.offset, GATE.decode(CREATED, each.value)) for each in records]


def cpu_ms(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1000


def test_a_commit_costs_the_same_after_many(tmp_path: Path) -> None:
    """Beside a table with PyIceberg's own settings, whose snapshots and manifests pile up."""
    lake = open_lake(tmp_path / "lake", REGISTRY)
    plain_catalog = SqlCatalog(
        "plain", uri=f"sqlite:///{tmp_path}/plain.sqlite", warehouse=(tmp_path / "plain").as_uri()
    )
    plain_catalog.create_namespace("events")
    ours = lake.table(lake.name(CREATED))
    plain = plain_catalog.create_table("events.plain", ours.schema(), partition_spec=ours.spec())
    took: dict[str, list[float]] = {"ours": [], "plain": []}

    for number in range(COMMITS):
        rows = rows_of(lake.layouts[CREATED], orders(number * ROWS, ROWS))
        span = OffsetRange(VALIDATED, number * ROWS, (number + 1) * ROWS, "bench")
        took["ours"].append(cpu_ms(lambda: append(lake, lake.name(CREATED), rows, span)))  # noqa: B023
        took["plain"].append(cpu_ms(lambda: plain.append(rows)))  # noqa: B023

    for name, values in took.items():
        parts = [values[3:23], values[-20:]]
        first, last = (statistics.mean(part) for part in parts)
        print(f"{name}: {first:.1f} ms cpu a commit at first, {last:.1f} ms after {COMMITS}")


def fill(log: MemoryLog, writer: LakeWriter, *, batches: int, size: int) -> Iterator[float]:
    """Publish and write batches of every 14th part another day; yield processor seconds."""
    for batch in range(batches):
        first = batch * size
        documents = [order(first + number) for number in range(size)]
        if batch % 5 == 0:
            documents += [cancelled(first + number) for number in range(0, size, 50)]
        for number, document in enumerate(documents):
            document["time"] = f"2025-12-{20 + number % 10:02}T{number % 24:02}:00:00Z"
        log.commit(batch_of(documents))
        yield cpu_ms(lambda: writer.write_up_to(ends(log))) / 1000


def test_writing_and_asking(tmp_path: Path) -> None:
    """Throughput of the writer; the same question over files, through Arrow, and after a merge."""
    log = MemoryLog()
    lake = open_lake(tmp_path / "lake", REGISTRY)
    writer = LakeWriter(lake, log, GATE, batch_events=30_000)
    seconds = list(fill(log, writer, batches=15, size=20_000))
    events = log.end(VALIDATED)
    print(f"written: {events / sum(seconds):,.0f} events a processor second, 20,000 a batch")
    reader = LakeReader(lake, GATE)
    plan = plan_metric(REGISTRY.metric("revenue", 2), events=REGISTRY.events)
    question = QuerySpec(tenant="acme", by=("currency",))

    def asked(label: str) -> list[Decimal]:
        history = History(LakeReader(lake, GATE), log, gate=GATE, registry=REGISTRY)
        took = []
        for _ in range(6):
            start = time.perf_counter()
            rows = history.answer(plan, question, tail=False)
            took.append((time.perf_counter() - start) * 1000)
        history.close()
        size = len(reader.files(CREATED))
        print(f"{label} ({size} files): {took[0]:.0f} ms first, {min(took[1:]):.0f} ms again")
        return [row.value for row in rows]  # type: ignore[misc]

    before = asked("files by DuckDB")
    start = time.perf_counter()
    arrow = lake.table(lake.name(CREATED)).scan().to_arrow()
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    connection.register("orders", arrow)
    connection.execute("SELECT currency, SUM(amount) FROM orders GROUP BY currency").fetchall()
    print(f"PyIceberg to Arrow, then a plain sum: {(time.perf_counter() - start) * 1000:.0f} ms")
    print(f"merging took {cpu_ms(lambda: compact(lake, lake.name(CREATED))) / 1000:.2f} s cpu")
    assert asked("files by DuckDB, merged") == before
    start = time.perf_counter()
    count = sum(1 for _ in reader.all_events())
    print(f"events in log order: {count / (time.perf_counter() - start):,.0f} a second")
    print(f"health: {cpu_ms(lambda: lake_health(lake)):.1f} ms")


def test_an_event_loop_beside_the_writer(tmp_path: Path) -> None:
    """How late a timer of 1 ms is, with and without a lake thread that writes all the time."""
    log = MemoryLog()
    lake = open_lake(tmp_path / "lake", REGISTRY)
    thread = LakeThread(LakeWriter(lake, log, GATE), interval=NEVER, batch_events=10**9)
    thread.start()
    log.commit(batch_of([order(10**6), cancelled(10**6)]))
    thread.flush(ends(log), timeout=timedelta(minutes=1))  # what is loaded once is loaded
    kinds = [order, cancelled]
    for first in range(0, 60_000, 1_000):
        log.commit(batch_of([kinds[n % 2](n) for n in range(first, first + 1_000)]))

    gc.collect()
    gc.freeze()  # the log of this bench is a heap that a full collection walks for 0.2 s

    async def lateness(seconds: float) -> list[float]:
        late = []
        stop = time.perf_counter() + seconds
        while (start := time.perf_counter()) < stop:
            await asyncio.sleep(0.001)
            late.append((time.perf_counter() - start - 0.001) * 1000)
        return sorted(late)

    async def beside() -> tuple[list[float], list[float]]:
        quiet = await lateness(1.5)
        flush = asyncio.to_thread(thread.flush, ends(log), timeout=timedelta(minutes=1))
        writing = asyncio.create_task(flush)
        busy = await lateness(1.5)
        await writing
        return quiet, busy

    for name, late in zip(("idle", "writing"), asyncio.run(beside()), strict=True):
        p50, p99 = late[len(late) // 2], late[int(len(late) * 0.99)]
        print(f"event loop, lake {name}: p50 {p50:.2f} ms late, p99 {p99:.2f}, max {late[-1]:.1f}")
    gc.unfreeze()
    thread.close()
