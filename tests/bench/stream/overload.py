"""Three times what the whole path can take, for a minute: what intake refuses, keeps and loses.

The capacity is measured first, by senders that wait for each answer and keep intake full. The
overload is an open loop: batches are due whether earlier ones were answered or not, and nobody
heeds `Retry-After`. What was offered in fact is in the context. What was accepted must be in the
validated topic, among what the platform counted, and in the lake's tables, each once. The lake job
gets little of two cores while the gate is busy, so how long it takes to catch up is a figure of its
own.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from pathlib import Path
from threading import Event, Lock, Thread

import psutil

from ingestion.generate import Profile, read_scenario
from stack.path import StreamPath
from stack.probe import wait_until
from tests.bench.figures import Figure
from tests.bench.machine import load_average
from tests.bench.wire import Connection, request
from tests.bench.world import ROOT, SCRATCH, now_us
from tests.stack.path_world import ACCEPTED, LAKE_LAG, STREAM_LAG, figure, stored, validated_end

TIMES = 3
SECONDS = 60.0
WARM_UP_SECONDS = 20.0
CAPACITY_SECONDS = 15.0
BACKLOG_EVENTS = 10_000
BATCH = 100
SENDERS = 8
SPARE = 1.5
"""Batches made beforehand, over what the capacity would need: making them takes the cores too."""
RECOVERS_WITHIN = 120.0
LAKE_WITHIN = 420.0
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
    bodies, sent = Bodies(path), Sent()
    capacity = _capacity(path, bodies, sent)
    _recovered(path, sent)
    bodies.make(int(capacity * SECONDS * scale * SPARE))
    before = Sent(sent.accepted, sent.refused)
    with _peak_mib(path) as memory:
        quiet = dict(memory)
        took = _send(path, bodies, sent, seconds=SECONDS * scale, rate=capacity * TIMES)
        behind = _lake_lag(path)
        recovery = _recovered(path, sent)
    covered = _seconds_until(lambda: _lake_lag(path) == 0, within=LAKE_WITHIN)
    rows = stored(path, path.directory / "bench-cache")
    counts = {
        "validated": validated_end(path),
        "visible": figure(path, ACCEPTED),
        "lake_rows": len(rows),
        "lake_events": len(set(rows)),
    }
    accepted, refused = sent.accepted - before.accepted, sent.refused - before.refused
    context = {
        "capacity": capacity,
        "seconds": took,
        "offered_over_capacity": (accepted + refused) / took / capacity,
        "accepted": float(accepted),
        "refused": float(refused),
        "made_late_batches": float(bodies.late),
        "retry_after_min_s": float(min(sent.retry_after, default=0)),
        "retry_after_max_s": float(max(sent.retry_after, default=0)),
        "accepted_in_all": float(sent.accepted),
        "lake_events_behind": float(behind),
        **{name: float(count) for name, count in counts.items()},
        **{f"{name}_mib_before": found for name, found in quiet.items()},
        **{f"{name}_mib_peak": found for name, found in memory.items()},
        "load": load_average(),
    }
    missing = float(max(abs(sent.accepted - count) for count in counts.values()))
    yield Figure(f"{TIMES}x overload, lost or doubled", missing, 0.0, "events", "at_most", context)
    for name, part in (("api", "platform"), ("taskmanager", "task manager")):
        grown = memory[name] / quiet[name]
        title = f"{TIMES}x overload, memory of the {part} over before"
        yield Figure(title, grown, 1.5, "ratio", "at_most", context)
    yield Figure(f"{TIMES}x overload, recovery", recovery, 60.0, "s", "at_most", context)
    yield Figure(f"{TIMES}x overload, lake caught up", covered, 300.0, "s", "at_most", context)


class Bodies:
    """Bodies of good, different events of the last hour; one that was refused is offered again."""

    def __init__(self, path: StreamPath) -> None:
        world = read_scenario(path.contracts, path.registry)
        profile = Profile(rate=_EVENTS_A_SECOND, bad=0, duplicate=0, late=0)
        start_us = now_us() - _PAST_US
        self._events = world.generator(seed=start_us, start_us=start_us, profile=profile).events()
        self._ready: deque[bytes] = deque()
        self.late = 0

    def make(self, events: int) -> None:
        """Make bodies before they are needed."""
        self.late = 0
        self._ready.extend(self._made() for _ in range(events // BATCH))

    def take(self) -> bytes:
        """Return a body that was not accepted yet."""
        if self._ready:
            return self._ready.popleft()
        self.late += 1
        return self._made()

    def give_back(self, body: bytes) -> None:
        """Offer a body again, that was refused."""
        self._ready.append(body)

    def _made(self) -> bytes:
        return b"\n".join(event.value for event in islice(self._events, BATCH))


def _capacity(path: StreamPath, bodies: Bodies, sent: Sent) -> float:
    """Return the events a second that become validated while intake is kept full."""
    _send(path, bodies, sent, seconds=WARM_UP_SECONDS, rate=None)
    begun, before = time.monotonic(), validated_end(path)
    _send(path, bodies, sent, seconds=CAPACITY_SECONDS, rate=None)
    return (validated_end(path) - before) / (time.monotonic() - begun)


def _send(
    path: StreamPath, bodies: Bodies, sent: Sent, *, seconds: float, rate: float | None
) -> float:
    """Send at *rate* events a second, or as fast as answers come; return for how many seconds."""
    begun, taken = time.monotonic(), 0

    def batch() -> tuple[bytes, float] | None:
        nonlocal taken
        with sent.lock:
            due = begun + taken * BATCH / rate if rate else time.monotonic()
            if max(due, time.monotonic()) > begun + seconds:
                return None
            taken += 1
            return bodies.take(), due

    def work() -> None:
        host, _, port = path.api.url.removeprefix("http://").partition(":")
        connection = Connection(host, int(port))
        while (found := batch()) is not None:
            body, due = found
            if (left := due - time.monotonic()) > 0:
                time.sleep(left)
            if _note(connection, body, sent):
                continue
            with sent.lock:
                bodies.give_back(body)
            if rate is None:
                time.sleep(_BREATH_SECONDS)
        connection.close()

    senders = [Thread(target=work) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return time.monotonic() - begun


def _note(connection: Connection, body: bytes, sent: Sent) -> bool:
    """Send a batch and write down what became of it; return whether it was taken in."""
    headers = {"content-type": _LINES}
    answer = connection.ask(request("POST", "/v1/events", key="bench", headers=headers, body=body))
    with sent.lock:
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
    return _seconds_until(
        lambda: figure(path, STREAM_LAG) == 0 and figure(path, ACCEPTED) >= sent.accepted,
        within=RECOVERS_WITHIN,
    )


def _seconds_until(condition: Callable[[], bool], *, within: float) -> float:
    begun = time.monotonic()
    return time.monotonic() - begun if wait_until(condition, within=within) else inf


def _lake_lag(path: StreamPath) -> int:
    """Return how many events the lake does not hold yet, when it was looked at last.

    Health would say it as well, and ask the catalog for all tables each time.
    """
    return figure(path, LAKE_LAG)


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
