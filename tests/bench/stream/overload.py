"""Three times what the whole path can take, for a minute: what intake refuses, keeps and loses.

The capacity is measured first, by senders that wait for each answer. The overload is an open loop:
batches are due whether earlier ones were answered or not, and one that is refused with 429 is not
sent again, so that the load stays. What was accepted must be in the validated topic, once, and
every number equal to the recompute from the lake.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Event, Lock, Thread

import psutil
from confluent_kafka import Consumer, TopicPartition

from agentflow_sdk import AgentFlow
from ingestion.generate import Profile, read_world
from stack.path import StreamPath
from stack.probe import http_json, wait_until
from tests.bench.figures import Figure
from tests.bench.machine import load_average
from tests.bench.wire import Connection, request
from tests.bench.world import ROOT, SCRATCH, now_us

TIMES = 3
SECONDS = 60.0
CAPACITY_SECONDS = 40.0
BACKLOG_EVENTS = 10_000
BATCH = 100
SENDERS = 4
RECOVERS_WITHIN = 300.0
_TAKEN = (200, 207)
_TOO_MANY = 429
_BREATH_SECONDS = 0.1
_PAST_US = 3_600_000_000
_EVENTS_A_SECOND = 1_000
_LINES = "application/x-ndjson"


@dataclass
class Sent:
    """What became of the batches; shared by the senders."""

    accepted: int = 0
    refused: int = 0
    late: int = 0
    retry_after: list[int] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


def measure(scale: float) -> Iterable[Figure]:
    """Measure on a path of its own, without databases."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    settings = {"AGENTFLOW_BACKLOG_EVENTS": str(BACKLOG_EVENTS)}
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        planned = StreamPath(
            Path(scratch), ROOT / "contracts", prefix="overload", settings=settings
        )
        with planned.running() as path:
            yield from _measured(path, scale)


def _measured(path: StreamPath, scale: float) -> Iterable[Figure]:
    lines, sent = _batches(path), Sent()
    capacity = _capacity(path, lines, sent, CAPACITY_SECONDS * scale)
    _recovered(path, sent)
    before = Sent(sent.accepted, sent.refused)
    with _peak_mib(path) as memory:
        quiet = memory["api"]
        _send(path, lines, sent, seconds=SECONDS * scale, rate=capacity * TIMES)
        recovery = _recovered(path, sent)
    with AgentFlow(path.api.url, timeout_seconds=300) as client:
        verified = client.verify().verified
    context = {
        "capacity": capacity,
        "seconds": SECONDS * scale,
        "accepted": float(sent.accepted - before.accepted),
        "refused": float(sent.refused - before.refused),
        "late_batches": float(sent.late),
        "retry_after_max_s": float(max(sent.retry_after, default=0)),
        "verified": float(verified),
        "api_mib_before": quiet,
        "api_mib_peak": memory["api"],
        "taskmanager_mib_peak": memory["taskmanager"],
        "load": load_average(),
    }
    missing = float(abs(sent.accepted - _validated(path))) if verified else float("inf")
    yield Figure(f"{TIMES}x overload, lost or doubled", missing, 0.0, "events", "at_most", context)
    yield Figure(
        f"{TIMES}x overload, memory of the platform over before",
        memory["api"] / quiet,
        1.5,
        "ratio",
        "at_most",
        context,
    )
    yield Figure(f"{TIMES}x overload, recovery", recovery, 60.0, "s", "at_most", context)


def _batches(path: StreamPath) -> Iterator[bytes]:
    """Yield bodies of good, different events of the last hour."""
    world = read_world(path.contracts, path.registry)
    profile = Profile(rate=_EVENTS_A_SECOND, bad=0, duplicate=0, late=0)
    start_us = now_us() - _PAST_US
    events = world.generator(seed=start_us, start_us=start_us, profile=profile).events()
    while True:
        yield b"\n".join(event.value for event in islice(events, BATCH))


def _capacity(path: StreamPath, lines: Iterator[bytes], sent: Sent, seconds: float) -> float:
    """Return the events a second that become validated while intake is kept full."""
    _send(path, lines, sent, seconds=seconds / 2, rate=None)
    begun, before = time.monotonic(), _validated(path)
    _send(path, lines, sent, seconds=seconds / 2, rate=None)
    return (_validated(path) - before) / (time.monotonic() - begun)


def _send(
    path: StreamPath, lines: Iterator[bytes], sent: Sent, *, seconds: float, rate: float | None
) -> None:
    """Send at *rate* events a second, or as fast as answers come."""
    begun, taken = time.monotonic(), 0

    def batch() -> tuple[bytes, float] | None:
        nonlocal taken
        with sent.lock:
            due = begun + taken * BATCH / rate if rate else time.monotonic()
            if due > begun + seconds:
                return None
            taken += 1
            return next(lines), due

    def work() -> None:
        host, _, port = path.api.url.removeprefix("http://").partition(":")
        connection = Connection(host, int(port))
        while (found := batch()) is not None:
            body, due = found
            if (left := due - time.monotonic()) > 0:
                time.sleep(left)
            taken_in = _note(connection, body, sent, late=left < -1)
            if rate is None and not taken_in:
                time.sleep(_BREATH_SECONDS)
        connection.close()

    senders = [Thread(target=work) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()


def _note(connection: Connection, body: bytes, sent: Sent, *, late: bool) -> bool:
    """Send a batch and write down what became of it; return whether it was taken in."""
    headers = {"content-type": _LINES}
    answer = connection.ask(request("POST", "/v1/events", key="bench", headers=headers, body=body))
    with sent.lock:
        sent.late += late
        if answer.status == _TOO_MANY:
            sent.refused += BATCH
            sent.retry_after.append(int(answer.header(b"retry-after") or 0))
        elif answer.status in _TAKEN:
            sent.accepted += json.loads(answer.body)["accepted"]
        else:
            raise AssertionError(f"{answer.status} {answer.body[:500]!r}")
    return answer.status in _TAKEN


def _recovered(path: StreamPath, sent: Sent) -> float:
    """Return the seconds until all that was accepted is visible; infinite if it never is."""
    begun = time.monotonic()

    def visible() -> bool:
        health = http_json(f"{path.api.url}/v1/health")
        stream = health["stream"] if health else None
        return bool(stream) and stream["events"] == 0 and _validated(path) >= sent.accepted

    done = wait_until(visible, within=RECOVERS_WITHIN)
    return time.monotonic() - begun if done else float("inf")


def _validated(path: StreamPath) -> int:
    """Return how many records the validated topic has been given."""
    consumer = Consumer({"bootstrap.servers": path.kafka.bootstrap, "group.id": "overload"})
    place = TopicPartition(path.config.topic_name("validated"), 0)
    _, end = consumer.get_watermark_offsets(place, timeout=30, cached=False)
    consumer.close()
    return int(end)


@contextmanager
def _peak_mib(path: StreamPath) -> Iterator[dict[str, float]]:
    """Give the highest resident memory seen until the block ends, of platform and TaskManager."""
    pids = {"api": path.api.processes["api"].pid, "taskmanager": path.flink.taskmanager.pid}
    seen = dict.fromkeys(pids, 0.0)
    stopping = Event()

    def look() -> None:
        for name, pid in pids.items():
            seen[name] = max(seen[name], psutil.Process(pid).memory_info().rss / 2**20)

    def watch() -> None:
        while not stopping.wait(0.5):
            look()

    look()
    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    yield seen
    stopping.set()
    watcher.join()
