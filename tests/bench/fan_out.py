"""Batches of 1,000 events to 500 streams: how long they take, and what a slow stream costs others.

The streams belong to another process and stay open; in every second round some more are there that
read a byte a second. All the while one client asks for a metric, two hundred times a second. Before
the streams are opened there is a round without any.

A push takes from the moment the batch is sent to the moment a stream has its last event (of a
stream of metrics: the number that counts the last one).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from ingestion.generate import CLEAN, Generated, read_scenario
from tests.bench.figures import Figure, median, percentile
from tests.bench.server import KEY, Served, platform_server
from tests.bench.wire import Connection, request
from tests.bench.world import CONTRACTS, ROOT, SEED, now_us, shop

STREAMS = 500
SLOW = 5
ROUNDS = 8
BATCH = 1_000
BATCHES = 3
KEYS = tuple(f"{KEY}-{number}" for number in range(4))
_WITHIN_SECONDS = 60.0
_READ_EVERY = 0.005
_BATCH = {"content-type": "application/cloudevents-batch+json"}
_READ = "/v1/metrics/revenue?window=1h&currency=EUR"
_KINDS = {
    "events": "/v1/stream/events",
    "metrics": "/v1/stream/metrics?metric=page_views&window=all",
}


@dataclass(slots=True)
class _Seen:
    """What was seen in rounds of one kind; seconds. *cpu* is the server's for one batch."""

    pushes: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    posts: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def rounds(self, streams: int) -> list[float]:
        """Return the 99th percentile of the pushes of each round."""
        size = streams * BATCHES
        starts = range(0, len(self.pushes), size)
        return [percentile(self.pushes[start : start + size], 0.99) for start in starts]

    def context(self, name: str) -> dict[str, float | str]:
        """Return it as a figure shows it."""
        times = {"push": self.pushes, "read": self.reads, "post": self.posts, "cpu": self.cpu}
        return {
            f"{what}_p{share:.0%}_ms_{name}".replace("%", ""): percentile(found, share) * 1e3
            for what, found in times.items()
            if found
            for share in (0.5, 0.99)
        }


class _Subscribers:
    """The process with the streams."""

    def __init__(self, process: subprocess.Popen[str], path: str) -> None:
        self._process = process
        self._path = path

    def ask(self, **asked: object) -> Any:  # noqa: ANN401 - whatever JSON it answers
        """Give one command and return its answer."""
        self.tell(**asked)
        return self.answer()

    def tell(self, **asked: object) -> None:
        """Give one command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"path": self._path, **asked}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:  # noqa: ANN401 - same
        """Return the answer to the oldest command without one."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the subscribers ended")
        return json.loads(line)


@contextmanager
def _subscribers(server: Served, path: str) -> Iterator[_Subscribers]:
    command = [sys.executable, "-m", "tests.bench.subscribers", server.host, str(server.port)]
    with subprocess.Popen(
        [*command, *KEYS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        yield _Subscribers(process, path)


def measure(scale: float) -> Iterable[Figure]:
    """Measure streams of events, then streams of metrics."""
    streams = max(round(STREAMS * min(1.0, scale * 4)), 4)
    rounds = max(round(ROUNDS * scale / 2) * 2, 2)
    batch = max(round(BATCH * min(1.0, scale * 4)), 40)
    settings = {
        "AGENTFLOW_API_KEYS": ",".join(f"{key}:default" for key in (KEY, *KEYS)),
        "AGENTFLOW_CONNECTIONS_PER_ADDRESS": "0",
    }
    with platform_server(settings=settings) as server:
        batches = _Batches(batch)
        for kind, path in _KINDS.items():
            with _subscribers(server, path) as others:
                seen = _Run(server, others, batches, kind).run(streams=streams, rounds=rounds)
            yield from _figures(kind, seen, streams=streams, batch=batch)


def _figures(kind: str, seen: dict[str, _Seen], *, streams: int, batch: int) -> Iterator[Figure]:
    context: dict[str, float | str] = {
        "streams": float(streams),
        "slow": float(SLOW),
        "batch": float(batch),
        "pushes": float(len(seen["quick"].pushes)),
    }
    for name, found in seen.items():
        context |= found.context(name)
    rounds = zip(*(seen[name].rounds(streams) for name in ("quick", "slow")), strict=True)
    dearer = median([slow / quick for quick, slow in rounds])
    yield Figure(
        f"pushes of {kind} beside slow streams over without, p99", dearer, 1.1, "ratio",
        "at_most", context,
    )  # fmt: skip
    reads = percentile([*seen["quick"].reads, *seen["slow"].reads], 0.99) * 1e3
    yield Figure(f"metric read while {kind} are pushed, p99", reads, 50, "ms", "at_most", context)


class _Batches:
    """What is sent: clean events, in order, each batch with the next of them."""

    def __init__(self, size: int) -> None:
        clean = CLEAN.model_copy(update={"rate": 1_000.0})
        world = read_scenario(CONTRACTS, shop())
        self._events = world.generator(seed=SEED, start_us=now_us(), profile=clean).events()
        self._size = size
        self._viewed = 0

    def next(self) -> tuple[list[Generated], dict[str, str]]:
        """Return a batch, and by kind of stream the text of the last message it leads to."""
        batch = [next(self._events) for _ in range(self._size)]
        documents = [json.loads(event.value) for event in batch]
        self._viewed += sum(each["type"] == "page.viewed" for each in documents)
        last = documents[-1]["id"]
        return batch, {"events": f'"id":"{last}"', "metrics": f'"events":{self._viewed},'}


class _Run:
    """Batches, with reads all the while."""

    def __init__(self, server: Served, others: _Subscribers, batches: _Batches, kind: str) -> None:
        self._server = server
        self._others = others
        self._batches = batches
        self._kind = kind
        self._reading = Connection(server.host, server.port)
        self._read = request("GET", _READ, key=KEY)

    def run(self, *, streams: int, rounds: int) -> dict[str, _Seen]:
        """Return what was seen without streams, with quick ones, and with slow ones beside them."""
        seen = {"none": _Seen(), "quick": _Seen(), "slow": _Seen()}
        self._batch(_Seen(), streams=0)  # the first one warms up
        for _ in range(BATCHES):
            self._batch(seen["none"], streams=0)
        self._others.ask(open=streams)
        self._batch(_Seen(), streams=streams)
        for number in range(rounds):
            name = "slow" if number % 2 else "quick"
            self._others.ask(slow=SLOW if number % 2 else 0)
            for _ in range(BATCHES):
                self._batch(seen[name], streams=streams)
        self._reading.close()
        return seen

    def _batch(self, seen: _Seen, *, streams: int) -> None:
        """Send a batch; read until all streams have it."""
        batch, texts = self._batches.next()
        text = texts[self._kind]
        if streams:
            self._others.tell(until=text, within=_WITHIN_SECONDS)
        done: list[Sequence[float | None]] = []
        cpu, begun = self._server.cpu_seconds(), time.perf_counter()
        sending = Thread(target=self._send, args=(batch, seen))
        waiting = Thread(target=lambda: done.append(self._others.answer() if streams else ()))
        sending.start()
        waiting.start()
        while sending.is_alive() or waiting.is_alive():
            asked = time.perf_counter()
            self._reading.ask(self._read)
            answered = time.perf_counter()
            seen.reads.append(answered - asked)
            time.sleep(max(asked + _READ_EVERY - answered, 0))
        if None in done[0]:
            raise RuntimeError(f"{done[0].count(None)} streams were not sent {text}")
        seen.cpu.append(self._server.cpu_seconds() - cpu)
        seen.pushes += [at - begun for at in done[0] if at is not None]

    def _send(self, batch: Sequence[Generated], seen: _Seen) -> None:
        body = b"[%b]" % b",".join(event.value for event in batch)
        sent = request("POST", "/v1/events", key=KEY, headers=_BATCH, body=body)
        connection = Connection(self._server.host, self._server.port)
        begun = time.perf_counter()
        response = connection.ask(sent)
        seen.posts.append(time.perf_counter() - begun)
        connection.close()
        if response.status != 200 or json.loads(response.body)["accepted"] != len(batch):
            raise RuntimeError(f"{response.status}: {response.body[:500]!r}")
