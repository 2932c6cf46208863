"""The gate of a stream answers for every record, with the bytes the embedded log stores."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.contracts import Registry
from agentflow.events import RawEvent
from agentflow.lint import load
from ingestion.log.port import (
    DEAD_LETTERS,
    DUPLICATES,
    VALIDATED,
    Batch,
    Committed,
    DeadLettered,
    NewRecord,
)
from processing.transformations import Router
from processing.transformations.stream import NOT_JUDGED, StreamGate, StreamRecord
from quality import Gate
from tests.fakes.memory_log import MemoryLog
from tests.processing.transformations.stream_corpus import (
    ANSWERS,
    CONTRACTS,
    NOW_US,
    answers,
    corpus,
    line,
)


@pytest.fixture(scope="module")
def stream_gate(registry: Registry) -> StreamGate:
    return StreamGate(registry)


def test_answers_are_what_they_were(stream_gate: StreamGate) -> None:
    """`AGENTFLOW_GOLDEN=write` writes the file anew; a difference is a change of a wire format."""
    named = corpus()
    found = answers(stream_gate, [record for _, record in named])
    lines = [line(name, *answer) for (name, _), answer in zip(named, found, strict=True)]
    if os.environ.get("AGENTFLOW_GOLDEN") == "write":
        ANSWERS.write_text("".join(f"{each}\n" for each in lines))

    assert ANSWERS.read_text().splitlines() == lines


def test_the_embedded_log_stores_the_same_bytes(registry: Registry, gate: Gate) -> None:
    """Two gates that differ in one byte are two products."""
    raws = [
        RawEvent(record.value or b"", "acme", NOW_US)
        for _, record in corpus()
        if record.headers.get("tenant") == b"acme"
        and record.headers.get("received_us") == str(NOW_US).encode()
        and "ce_type" not in record.headers
    ]
    router, log = Router(registry, gate), MemoryLog()
    committed = log.commit(Batch(raws, [router.route(raw, gate.judge(raw)) for raw in raws]))
    headers = {"tenant": b"acme", "received_us": str(NOW_US).encode()}
    records = [
        StreamRecord("raw", 0, offset, NOW_US, None, raw.value, headers)
        for offset, raw in enumerate(raws)
    ]

    streamed = list(answers(StreamGate(registry), records))

    for topic in (VALIDATED, DEAD_LETTERS):
        stored = log.read(topic, start=0, limit=1_000)
        expected = [(each.key, each.value, dict(each.headers)) for each in stored]
        found = [record for name, record in streamed if name == topic]
        again = refused_again(committed)
        assert [_embedded(r) for r in found if r.headers["raw_offset"] not in again] == expected
    assert {name for name, _ in streamed} == {VALIDATED, DEAD_LETTERS, DUPLICATES}


def refused_again(committed: Committed) -> set[str]:
    """Where in raw an event is whose dead letter is an earlier one; a stream makes another."""
    seen: set[int] = set()
    again = set()
    for outcome in committed.outcomes:
        if isinstance(outcome, DeadLettered):
            if outcome.offset in seen:
                again.add(str(outcome.raw_offset))
            seen.add(outcome.offset)
    return again


def _embedded(record: NewRecord) -> tuple[bytes | None, bytes, dict[str, str]]:
    places = {"raw_topic", "raw_partition"}
    headers = {key: text for key, text in record.headers.items() if key not in places}
    return record.key, record.value, headers


@given(
    value=st.none() | st.binary(max_size=200) | st.text(max_size=100).map(str.encode),
    key=st.none() | st.binary(max_size=10),
    headers=st.dictionaries(
        st.sampled_from(["tenant", "received_us", "ce_type", "ce_id", "content-type", "x"]),
        st.none() | st.binary(max_size=20),
    ),
    timestamp_us=st.integers(-(2**63), 2**63 - 1),
    topic=st.sampled_from(["agentflow.raw", "shop.public.orders"]),
)
@settings(max_examples=300, deadline=None)
def test_whatever_arrives_is_answered_for(
    value: bytes | None,
    key: bytes | None,
    headers: dict[str, bytes | None],
    timestamp_us: int,
    topic: str,
) -> None:
    """A job whose function raises starts again at the same record, for ever."""
    outputs = _GOLDEN_GATE.outputs(StreamRecord(topic, 3, 7, timestamp_us, key, value, headers))

    assert outputs
    for output in outputs:
        assert output.record.headers["raw_offset"] == "7"
        assert output.record.headers["raw_partition"] == "3"
        assert output.record.timestamp_us >= 0


_GOLDEN_GATE = StreamGate(load(CONTRACTS))


def test_a_gate_that_fails_costs_one_record(registry: Registry) -> None:
    """A bug of ours is a dead letter that can be replayed, not a stopped partition."""
    gate = StreamGate(registry)
    gate._gate = _Broken()  # type: ignore[assignment] # noqa: SLF001 - no input is known to do it

    (output,) = gate.outputs(StreamRecord("raw", 0, 0, NOW_US, None, b"{}"))

    assert output.topic == DEAD_LETTERS
    assert output.record.headers["reason"] == NOT_JUDGED


class _Broken:
    def judge(self, raw: RawEvent) -> object:
        raise MemoryError
