"""A metric of very many groups, and who waits for it: the event loop, and a read of something else.

All events are in one bucket, which leaves a window of two minutes; then a page of groups, all
proofs and `explain=full` are asked for. All the while one client asks for a metric without groups,
two hundred times a second.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

from tests.bench.figures import Figure, percentile
from tests.bench.server import KEY, Served, platform_server
from tests.bench.wire import Connection, request
from tests.bench.world import SCRATCH

GROUPS = 100_000
_AT_ONCE = 1_000
_SENT_PER_SECOND = 2_000
"""At least: until the last is sent the bucket must not have left the window."""
_WINDOW = timedelta(minutes=2)
_STEP_SECONDS = 5
_READ_EVERY = 0.005
_GROUPS = "/v1/metrics/things?window=all&by=shelf"
_PHASES = {
    "page": f"{_GROUPS}&limit=1000",
    "verify": "/v1/verify",
    "explain": f"{_GROUPS}&limit=1000&explain=full",
}
_ABOUT = "version: 1\nstatus: approved\nowner: bench\ndescription: Things on shelves.\n"
_EVENT = f"""kind: event
name: thing.counted
{_ABOUT}key: shelf
fields:
  shelf: {{type: string, required: true}}
"""
_METRIC = """kind: metric
name: {name}
{about}unit: things
value: count(thing.counted)
moved_by: [thing.counted@1]
dimensions: [{dimensions}]
windows: [2m, all]
examples:
  - name: one
    given: [{{thing.counted: {{shelf: a}}}}]
    then: {{"": 1}}
"""


@dataclass(slots=True)
class _Seen:
    """What was seen in each phase; seconds."""

    holds: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    reads: dict[str, list[float]] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)


def measure(scale: float) -> Iterable[Figure]:
    """Measure the holds of the loop and the reads meanwhile."""
    groups = max(round(GROUPS * scale), _AT_ONCE)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="groups-", dir=SCRATCH))
    try:
        _write_contracts(directory)
        settings = {"BENCH_TURNS": str(directory / "turns")}
        with platform_server(
            before="import tests.bench.turns", settings=settings, contracts=directory
        ) as server:
            seen = _run(server, groups, directory / "turns")
    finally:
        shutil.rmtree(directory)
    yield from _figures(seen, groups)


def _figures(seen: _Seen, groups: int) -> Iterator[Figure]:
    context: dict[str, float | str] = {"groups": float(groups)}
    for name in seen.holds:
        context[f"hold_ms_{name}"] = seen.holds[name] * 1e3
        context[f"hold_cpu_ms_{name}"] = seen.cpu[name] * 1e3
        context[f"read_p99_ms_{name}"] = percentile(seen.reads[name], 0.99) * 1e3
        context[f"seconds_{name}"] = seen.took[name]
    asked = [seen.cpu[name] for name in _PHASES]
    yield Figure(
        "longest hold of the loop, 100 k groups are asked for", max(asked) * 1e3, 50,
        "ms of CPU", "at_most", context,
    )  # fmt: skip
    yield Figure(
        "longest hold of the loop, 100 k cells leave a window", seen.cpu["expiry"] * 1e3, 50,
        "ms of CPU", "at_most", context,
    )  # fmt: skip
    reads = [read for found in seen.reads.values() for read in found]
    yield Figure(
        "metric read beside 100 k groups, p99", percentile(reads, 0.99) * 1e3, 50,
        "ms", "at_most", context,
    )  # fmt: skip


def _write_contracts(directory: Path) -> None:
    for folder in ("events", "metrics"):
        (directory / folder).mkdir()
    (directory / "events" / "thing.counted.v1.yaml").write_text(_EVENT)
    for name, dimensions in (("things", "shelf"), ("thing_count", "")):
        text = _METRIC.format(name=name, about=_ABOUT, dimensions=dimensions)
        (directory / "metrics" / f"{name}.v1.yaml").write_text(text)


def _run(server: Served, groups: int, turns: Path) -> _Seen:
    seen, asking = _Seen(), Connection(server.host, server.port)
    sending = timedelta(seconds=_STEP_SECONDS + groups / _SENT_PER_SECOND)
    occurred_at = datetime.now(UTC) - _WINDOW + sending
    _send(asking, groups, occurred_at)
    left_at = occurred_at + _WINDOW + timedelta(seconds=1)

    def expire() -> None:
        while datetime.now(UTC) < left_at:
            answer = asking.ask(request("GET", "/v1/metrics/things?window=2m", key=KEY))
            held = json.loads(answer.body)["value"]
            time.sleep(_READ_EVERY)
        if held:
            raise RuntimeError(f"{held} events did not leave the window")

    _phase(server, seen, turns, "expiry", expire)
    for name, path in _PHASES.items():
        _phase(server, seen, turns, name, lambda path=path: _ask(asking, path))
    asking.close()
    return seen


def _ask(connection: Connection, path: str) -> None:
    answer = connection.ask(request("GET", path, key=KEY))
    if answer.status != 200:
        raise RuntimeError(f"{path} answered {answer.status}: {answer.body[:500]!r}")


def _phase(server: Served, seen: _Seen, turns: Path, name: str, work: Callable[[], None]) -> None:
    """Do *work* while another client reads."""
    with _reading(server, seen.reads.setdefault(name, [])):
        begun = time.perf_counter()
        work()
        ended = time.perf_counter()
        time.sleep(0.2)  # the last tenth of a second is written
    seen.took[name] = ended - begun
    lines = [json.loads(line) for line in turns.read_text().splitlines()]
    of_phase = [line for line in lines if begun <= line["at"] <= ended + 0.2]
    seen.holds[name] = max(line["wall"] for line in of_phase)
    seen.cpu[name] = max(line["cpu"] for line in of_phase)


@contextmanager
def _reading(server: Served, reads: list[float]) -> Iterator[None]:
    done = Event()

    def read() -> None:
        connection = Connection(server.host, server.port)
        asked = request("GET", "/v1/metrics/thing_count?window=all", key=KEY)
        while not done.wait(_READ_EVERY):
            begun = time.perf_counter()
            connection.ask(asked)
            reads.append(time.perf_counter() - begun)
        connection.close()

    thread = Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _send(connection: Connection, groups: int, occurred_at: datetime) -> None:
    kind = {"content-type": "application/cloudevents-batch+json"}
    for start in range(0, groups, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, groups))
        body = json.dumps([_thing(number, occurred_at) for number in numbers]).encode()
        answer = connection.ask(request("POST", "/v1/events", key=KEY, body=body, headers=kind))
        if answer.status != 200 or json.loads(answer.body)["accepted"] != len(numbers):
            raise RuntimeError(f"{answer.status}: {answer.body[:500]!r}")


def _thing(number: int, occurred_at: datetime) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": f"thing-{number}",
        "source": "/bench",
        "type": "thing.counted",
        "time": occurred_at.isoformat(),
        "data": {"shelf": f"shelf {number:06}"},
    }
