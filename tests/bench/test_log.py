"""How fast the log commits, beside the plain layout it replaces, in one run.

uv run --frozen pytest tests/bench/test_log.py -m bench -s
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agentflow.events import RawEvent
from ingestion.log.group_commit import GroupCommitter
from ingestion.log.opening import open_log
from ingestion.log.port import VALIDATED, Accept, Batch, Reject

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

SEED = 20_261_121
BATCH = 1_000
PAYLOAD = random.Random(SEED).randbytes(350)


def judged(chance: random.Random, size: int = BATCH) -> Batch:
    """Return a batch like the shop's: 2 in 100 refused, one link an event, 350 bytes each."""
    raws = [RawEvent(PAYLOAD, "t", n) for n in range(size)]
    verdicts = [
        Reject("t", "schema", b"{}")
        if chance.random() < 0.02
        else Accept(
            chance.randbytes(16),
            "order.created",
            1,
            "t",
            b"ORD-1",
            PAYLOAD,
            number,
            (chance.randbytes(16),),
        )
        for number in range(size)
    ]
    return Batch(raws, verdicts)


class PlainLayout:
    """What one writes first: a row per record, digests straight into indexed tables."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript("""
            PRAGMA journal_mode = WAL;
            PRAGMA synchronous = FULL;
            CREATE TABLE raw (offset INTEGER PRIMARY KEY, tenant, value, received_us);
            CREATE TABLE validated (offset INTEGER PRIMARY KEY, type, version, tenant, key, value,
              occurred_us, ingested_us, raw_offset);
            CREATE TABLE dead_letters (offset INTEGER PRIMARY KEY, tenant, reason, detail);
            CREATE TABLE identities (digest BLOB PRIMARY KEY, offset) WITHOUT ROWID;
            CREATE TABLE links (digest BLOB, offset, PRIMARY KEY (digest, offset)) WITHOUT ROWID;
        """)
        self.raw = 0
        self.validated = 0

    def commit(self, batch: Batch) -> None:
        execute, many = self.connection.execute, self.connection.executemany
        execute("BEGIN IMMEDIATE")
        pairs = list(enumerate(zip(batch.raws, batch.dispositions, strict=True), self.raw))
        many(
            "INSERT INTO raw VALUES (?, ?, ?, ?)",
            [(n, raw.tenant, raw.value, raw.received_us) for n, (raw, _) in pairs],
        )
        accepted = []
        for number, (raw, verdict) in pairs:
            if isinstance(verdict, Reject):
                execute("INSERT INTO dead_letters VALUES (NULL, ?, ?, ?)", ("t", "schema", b"{}"))
                continue
            new = execute(
                "INSERT INTO identities VALUES (?, ?) ON CONFLICT DO NOTHING",
                (verdict.identity, self.validated),
            )
            if new.rowcount:
                accepted.append((self.validated, verdict, raw, number))
                self.validated += 1
        many(
            "INSERT INTO validated VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (n, v.type, v.version, v.tenant, v.key, v.value, v.occurred_us, r.received_us, at)
                for n, v, r, at in accepted
            ],
        )
        many(
            "INSERT INTO links VALUES (?, ?)",
            [(link, n) for n, v, _, _ in accepted for link in v.links],
        )
        execute("COMMIT")
        self.raw += len(batch.raws)


def rate(commit: Callable[[Batch], object], batches: list[Batch]) -> tuple[float, float]:
    """Return events per second of wall clock and of processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        commit(batch)
    events = sum(len(batch.raws) for batch in batches)
    return events / (time.perf_counter() - wall), events / (time.process_time() - cpu)


def test_chunks_beat_a_row_per_record(tmp_path: Path) -> None:
    """ADR 0004: chunks and a staged index are why one core takes the load."""
    chance = random.Random(SEED)
    log = open_log(tmp_path / "log.sqlite").log
    plain = PlainLayout(tmp_path / "plain.sqlite")

    print(f"\n{'events':>9} {'log/s':>9} {'cpu':>9} {'plain/s':>9} {'cpu':>9} {'ratio':>6}")
    ratio = 0.0
    for size in range(100_000, 700_000, 100_000):
        batches = [judged(chance) for _ in range(100)]
        wall, cpu = rate(log.commit, batches)
        plain_wall, plain_cpu = rate(plain.commit, batches)
        ratio = cpu / plain_cpu
        print(
            f"{size:>9} {wall:>9.0f} {cpu:>9.0f} {plain_wall:>9.0f} {plain_cpu:>9.0f} {ratio:>6.2f}"
        )
    log.close()

    assert ratio > 1


def test_a_busy_interpreter_slows_a_commit_by_its_statements(tmp_path: Path) -> None:
    """ADR 0004: each SQLite step hands the interpreter lock over, and waits to get it back."""
    chance = random.Random(SEED)
    log = open_log(tmp_path / "log.sqlite").log
    plain = PlainLayout(tmp_path / "plain.sqlite")
    batch, stop = 100, threading.Event()

    def spin() -> None:
        while not stop.is_set():
            pass

    busy = threading.Thread(target=spin)
    seconds: dict[str, float] = {}
    for state in ("idle", "busy"):
        if state == "busy":
            busy.start()
        for name, commit in (("log", log.commit), ("plain", plain.commit)):
            wall, _ = rate(commit, [judged(chance, batch) for _ in range(5)])
            seconds[f"{name} {state}"] = batch / wall
    stop.set()
    busy.join()
    log.close()

    print("\n" + ", ".join(f"{name} {value * 1_000:.1f} ms" for name, value in seconds.items()))
    assert seconds["log busy"] < seconds["plain busy"]


def test_group_commit_latency_at_a_thousand_events_a_second(tmp_path: Path) -> None:
    """The log's share of event → metric, with one event a request."""
    chance = random.Random(SEED)
    log = open_log(tmp_path / "log.sqlite").log
    latencies: list[float] = []

    async def request(committer: GroupCommitter, batch: Batch) -> None:
        started = time.perf_counter()
        await committer.submit(batch)
        latencies.append(time.perf_counter() - started)

    async def load(events: int, per_second: int) -> None:
        committer = GroupCommitter(log)
        started = time.perf_counter()
        async with asyncio.TaskGroup() as requests:
            for number in range(events):
                due = started + number / per_second
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                requests.create_task(request(committer, judged(chance, 1)))
        await committer.close()

    asyncio.run(load(5_000, 1_000))
    log.close()

    latencies.sort()
    marks = {f"p{p}": latencies[int(len(latencies) * p / 100)] * 1_000 for p in (50, 95, 99)}
    print("\n" + ", ".join(f"{name} {value:.2f} ms" for name, value in marks.items()))


def test_reading_and_opening(tmp_path: Path) -> None:
    """A restart reads the log from an offset on; lineage reads single records."""
    chance = random.Random(SEED)
    log = open_log(tmp_path / "log.sqlite").log
    for _ in range(200):
        log.commit(judged(chance))

    started, position = time.perf_counter(), 0
    while records := log.read(VALIDATED, start=position, limit=5_000):
        position = records[-1].offset + 1
    reading = time.perf_counter() - started
    offsets = [chance.randrange(position) for _ in range(1_000)]
    started = time.perf_counter()
    for offset in offsets:
        log.read_offsets(VALIDATED, [offset])
    single = time.perf_counter() - started
    log.close()
    started = time.perf_counter()
    open_log(tmp_path / "log.sqlite").log.close()
    opening = time.perf_counter() - started

    print(
        f"\nread {position / reading:.0f} records/s, one record {single * 1_000:.0f} µs, "
        f"open and check 200,000 events {opening:.2f} s"
    )
