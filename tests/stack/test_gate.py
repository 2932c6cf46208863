"""The gate on a real cluster: the same bytes as everywhere, and nothing lost over kill -9."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ingestion.log.port import DUPLICATES, VALIDATED, NewRecord
from processing.transformations.stream import StreamGate, StreamRecord
from stack.jobs import cancel
from stack.probe import http_json, wait_until
from stack.services import Flink, Kafka
from tests.ingestion.cdc.records import Logical, render, row
from tests.processing.transformations.stream_corpus import (
    ANSWERS,
    CONTRACTS,
    NOW_US,
    answers,
    corpus,
    line,
)
from tests.stack.gate import RunningGate, change_record, launch

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(900)]
LOAD = 6_000


@pytest.fixture(scope="module")
def gate(
    kafka: Kafka, flink: Flink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGate]:
    running = launch(kafka, flink, CONTRACTS, tmp_path_factory.mktemp("gate") / "contracts")
    yield running
    cancel(flink, running.job)


def test_workers_have_the_wheel_and_no_source(flink: Flink, platform_wheel: Path) -> None:
    """What works here works in an image: nothing is imported from a checkout."""
    shown = subprocess.run(
        [flink.python, "-c", "import processing.flink, quality; print(quality.__file__)"],
        env=flink.client_environment,
        cwd=flink.directory,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert Path(shown.strip()).is_relative_to(platform_wheel)
    environment = Path(f"/proc/{flink.taskmanager.pid}/environ").read_text().split("\0")
    workers_path = [each for each in environment if each.startswith(f"PYTHONPATH={platform_wheel}")]
    assert workers_path, "a job would restart without end"


def test_verdicts_are_byte_equal(gate: RunningGate) -> None:
    """Embedded and Flink are one gate; the partition goes on after every kind of poison."""
    named = corpus(gate.raw)
    gate.send(record for _, record in named)
    gate.answered(gate.raw, len(named))
    found = gate.answers()

    lines = []
    for offset, (name, _) in enumerate(named):
        ((topic, record),) = found[gate.raw, "0", str(offset)]
        answer = NewRecord(record.key, record.value, record.headers, record.timestamp_us)
        lines.append(line(name, topic, answer))

    assert lines == ANSWERS.read_text().splitlines()


def test_changes_of_a_table_become_events(gate: RunningGate) -> None:
    """A change may mean several events or none; its record is answered for all the same."""
    server = gate.changes.partition(".")[0]
    insert = Logical("c", 1, None, row(1), order=1)
    update = Logical("u", 1, row(1), row(1, "2.00"), order=2)
    delete = Logical("d", 1, row(1, "2.00"), None, order=3)
    rendered = [
        render(change, connector="postgresql", server=server)
        for change in (insert, update, update, delete)
    ]
    records = [change_record(each, at, NOW_US) for at, each in enumerate(rendered)]
    records.append(StreamRecord(gate.changes, 0, 4, NOW_US, records[0].key, None))
    records.append(StreamRecord(gate.changes, 0, 5, NOW_US, records[0].key, b"{not json"))
    expected = [
        (topic, record.key, record.value, dict(record.headers))
        for topic, record in answers(StreamGate(gate.registry), records)
    ]

    gate.send(records)
    gate.answered(gate.changes, len(records))

    found = [
        (topic, record.key, record.value, dict(record.headers))
        for place, answered in gate.answers().items()
        if place[0] == gate.changes
        for topic, record in answered
    ]
    assert sorted(found, key=repr) == sorted(expected, key=repr)


def test_a_killed_taskmanager_loses_nothing(gate: RunningGate) -> None:
    """At least once, and ids counted once: the ledger is what the validated topic holds."""
    before = len(gate.read("validated"))
    random.seed(4)
    order = [number for number in range(LOAD) for _ in range(1 + (random.random() < 0.05))]
    begin = _end(gate)
    records = [_event(gate.raw, begin + at, number) for at, number in enumerate(order)]
    gate.send(records[: len(records) // 2])
    assert wait_until(lambda: len(gate.read("validated")) > before + 100, within=120)

    gate.flink.taskmanager.kill()
    gate.send(records[len(records) // 2 :])
    gate.flink.taskmanager.start()
    gate.flink.wait_ready()
    gate.answered(gate.raw, begin + len(records))

    answered = gate.answers()
    ours = [
        answer
        for (topic, _, offset), found in answered.items()
        if topic == gate.raw and int(offset) >= begin
        for answer in found
    ]
    topics = Counter(topic for topic, _ in ours)
    keys = {record.key for topic, record in ours if topic == VALIDATED}
    assert keys == {f"K{number}".encode() for number in range(LOAD)}
    assert set(topics) <= {VALIDATED, DUPLICATES}
    assert topics[DUPLICATES] >= len(order) - LOAD
    restored = http_json(f"{gate.flink.url}/jobs/{gate.job}/checkpoints")
    assert restored is not None
    assert restored["counts"]["restored"] >= 1


def _event(topic: str, offset: int, number: int) -> StreamRecord:
    document = {
        "id": f"k{number}",
        "source": "/kill",
        "type": "parcel.sent",
        "data": {"parcel_id": f"K{number}", "price": "1.00", "currency": "EUR"},
    }
    headers = {"tenant": b"acme", "received_us": str(NOW_US).encode()}
    return StreamRecord(topic, 0, offset, NOW_US, None, msgspec.json.encode(document), headers)


def _end(gate: RunningGate) -> int:
    return 1 + max(int(place[2]) for place in gate.answers() if place[0] == gate.raw)
