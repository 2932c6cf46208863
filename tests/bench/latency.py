"""From an HTTP request with one event to an HTTP answer that shows it, at 1,000 events a second.

Open loop: every event has an instant at which it is due, whatever the server does, and the time of
a sample runs from that instant (a request that had to wait for a free connection has waited too).
"""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from select import select

from agentflow.contracts import Registry
from ingestion.generate import Generated
from processing.write.sealing import Seal
from processing.write.tokens import Token
from serving.access.keys import parse_keys, token_secret
from tests.bench.figures import Figure, percentile
from tests.bench.server import KEY, Served, platform_server
from tests.bench.wire import Connection, Response, request
from tests.bench.world import now_us, shop, stream

RATE = 1_000
SECONDS = 15
WARM_UP_SECONDS = 3
SAMPLE_EVERY = 5
CONNECTIONS = 16
TIMEOUT_SECONDS = 5.0
ONE = "application/cloudevents+json"
_READ = {  # an event type of the shop, a metric that each of its events moves, and a plain question
    "page.viewed": "/v1/metrics/page_views?window=all",
    "page.clicked": "/v1/metrics/clicks?window=1h&by=click_class",
    "cart.item_added": "/v1/metrics/cart_units?window=5m",
    "order.created": "/v1/metrics/gross_merchandise_value?window=24h&by=currency",
    "payment.captured": "/v1/metrics/revenue?window=1h&currency=EUR",
}
SEAL = Seal(token_secret("", parse_keys(f"{KEY}:default")))


@dataclass(slots=True)
class _Sample:
    """One event on its way."""

    number: int
    due: float
    written: float = 0.0
    target: str | None = None
    event_id: str = ""
    token: Token | None = None


@dataclass(slots=True)
class _Seen:
    """What came out of one run; times in seconds."""

    corrected: list[float] = field(default_factory=list)
    uncorrected: list[float] = field(default_factory=list)
    posts: list[float] = field(default_factory=list)
    in_causes: int = 0
    retries: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


def measure(scale: float) -> Iterable[Figure]:
    """Measure on a platform of its own."""
    registry = shop()
    with platform_server() as server:
        count = max(int(RATE * SECONDS * scale), 300)
        warm_up = max(int(RATE * WARM_UP_SECONDS * scale), 50)
        total = count + warm_up
        events = stream(registry, total, rate=RATE, start_us=now_us())
        cpu = server.cpu_seconds()
        seen = _Run(server, registry, events, warm_up=warm_up).run()
        cpu = server.cpu_seconds() - cpu
        _require_whole(server, events, seen)
    context: dict[str, float | str] = {
        "samples": float(len(seen.corrected)),
        "timeouts": float(seen.corrected.count(inf)),
        "rate": float(RATE),
        "connections": float(CONNECTIONS),
        "p99_ms": percentile(seen.corrected, 0.99) * 1000,
        "post_p50_ms": percentile(seen.posts, 0.5) * 1000,
        "post_p95_ms": percentile(seen.posts, 0.95) * 1000,
        "from_write_p50_ms": percentile(seen.uncorrected, 0.5) * 1000,
        "from_write_p95_ms": percentile(seen.uncorrected, 0.95) * 1000,
        "shown_among_causes": float(seen.in_causes),
        "read_again": float(seen.retries),
        "server_cpu_share": cpu / (total / RATE),
    }
    for name, share, goal in (("p50", 0.5, 5.0), ("p95", 0.95, 50.0)):
        value = percentile(seen.corrected, share) * 1000
        yield Figure(f"event to metric over HTTP, {name}", value, goal, "ms", "at_most", context)


class _Run:
    """One stream of events over several connections."""

    def __init__(
        self, server: Served, registry: Registry, events: Sequence[Generated], *, warm_up: int
    ) -> None:
        self._events = events
        self._warm_up = warm_up
        self._posts = [
            request("POST", "/v1/events", key=KEY, body=event.value, headers={"content-type": ONE})
            for event in events
        ]
        self._reads = {
            target: request("GET", target, key=KEY) for target in _targets(registry).values()
        }
        self._targets = _targets(registry)
        self._idle = deque(Connection(server.host, server.port) for _ in range(CONNECTIONS))
        self._busy: dict[Connection, _Sample] = {}
        self._seen = _Seen()

    def run(self) -> _Seen:
        """Send everything and return what was seen."""
        begin = time.perf_counter() + 0.05
        due = deque(_Sample(number, begin + number / RATE) for number in range(len(self._events)))
        while due or self._busy:
            now = time.perf_counter()
            while due and due[0].due <= now and self._idle:
                self._post(self._idle.popleft(), due.popleft())
            wait = TIMEOUT_SECONDS
            if due and self._idle:
                wait = max(due[0].due - time.perf_counter(), 0.0)
            readable, _, _ = select(list(self._busy), [], [], wait)
            for connection in readable:
                response = connection.receive()
                if response is not None:
                    self._answered(connection, response)
        for connection in self._idle:
            connection.close()
        return self._seen

    def _post(self, connection: Connection, sample: _Sample) -> None:
        sample.written = time.perf_counter()
        self._busy[connection] = sample
        connection.send(self._posts[sample.number])

    def _answered(self, connection: Connection, response: Response) -> None:
        sample, now, seen = self._busy[connection], time.perf_counter(), self._seen
        if sample.target is None:
            seen.statuses[response.status] += 1
            self._posted(connection, sample, response, now)
            return
        document = json.loads(response.body)
        token = Token.decode(document["token"], SEAL)
        shown = any(cause["event_id"] == sample.event_id for cause in document["causes"])
        late = now - sample.due > TIMEOUT_SECONDS
        if sample.token is not None and not sample.token.covered_by(token) and not late:
            seen.retries += 1
            connection.send(self._reads[sample.target])
            return
        seen.in_causes += shown
        seen.corrected.append(inf if late else now - sample.due)
        seen.uncorrected.append(inf if late else now - sample.written)
        self._free(connection)

    def _posted(
        self, connection: Connection, sample: _Sample, response: Response, now: float
    ) -> None:
        measured = sample.number >= self._warm_up
        if measured:
            self._seen.posts.append(now - sample.written)
        event = self._events[sample.number]
        if measured and sample.number % SAMPLE_EVERY == 0 and event.kind in {"good", "late"}:
            document = json.loads(event.value)
            sample.target = self._targets.get(document["type"])
            sample.event_id = document["id"]
        if sample.target is None:
            self._free(connection)
            return
        sample.token = Token.decode(json.loads(response.body)["token"], SEAL)
        connection.send(self._reads[sample.target])

    def _free(self, connection: Connection) -> None:
        del self._busy[connection]
        self._idle.append(connection)


def _targets(registry: Registry) -> Mapping[str, str]:
    """Return what to ask after an event of each type, if the metric exists."""
    names = {name for name, _ in registry.metrics}
    return {
        kind: target
        for kind, target in _READ.items()
        if target.removeprefix("/v1/metrics/").partition("?")[0] in names
    }


def _require_whole(server: Served, events: Sequence[Generated], seen: _Seen) -> None:
    """Fail unless the metric shows every page view that was sent, each once."""
    sent = set(_ids(events, "page.viewed"))
    connection = Connection(server.host, server.port)
    answer = connection.ask(request("GET", _READ["page.viewed"], key=KEY))
    connection.close()
    shown = json.loads(answer.body)["events"]
    if shown != len(sent):
        raise RuntimeError(f"{len(sent)} page views were sent, {shown} counted: {seen.statuses}")


def _ids(events: Iterable[Generated], kind: str) -> Iterator[str]:
    for event in events:
        if event.kind != "bad":
            document = json.loads(event.value)
            if document["type"] == kind:
                yield document["id"]
