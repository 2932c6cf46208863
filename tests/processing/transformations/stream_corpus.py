"""The golden corpus of a stream: the gate's own inputs, and what only a broker can do to a record.

One partition, in order; many inputs share an identity, so the first of each counts. Answers are
in `tests/golden/stream.jsonl`; large values by their hash.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from ingestion.log.port import NewRecord
from processing.transformations.stream import Identities, StreamGate, StreamRecord

GOLDEN = Path(__file__).parents[2] / "golden"
CONTRACTS = GOLDEN / "contracts"
ANSWERS = GOLDEN / "stream.jsonl"
NOW_US = 1_795_252_802_000_000
RAW_TOPIC = "golden.raw"
_SHOWN = 2_048

Named = tuple[str, StreamRecord]


def corpus(topic: str = RAW_TOPIC) -> list[Named]:
    """Return every record under its name, at successive offsets of partition 0."""
    gate = json.loads((GOLDEN / "inputs.json").read_text())
    stream = json.loads((GOLDEN / "stream.json").read_text())
    inputs = [*map(_gate_input, gate), *map(_stream_input, stream)]
    return [
        (name, StreamRecord(topic, 0, offset, NOW_US, None, value, headers))
        for offset, (name, value, headers) in enumerate(inputs)
    ]


def answers(gate: StreamGate, records: Sequence[StreamRecord]) -> Iterator[tuple[str, NewRecord]]:
    """Judge in order and keep what was seen: what the job has to do, as a loop."""
    identities = Identities(gate)
    for record in records:
        for output in map(identities.settled, gate.outputs(record)):
            yield output.topic, output.record


def line(name: str, topic: str, record: NewRecord) -> str:
    """Return an answer as the file has it; the raw topic's own name left out."""
    headers = {key: text for key, text in sorted(record.headers.items()) if key != "raw_topic"}
    value = record.value
    shown = value.hex() if len(value) <= _SHOWN else f"sha256:{sha256(value).hexdigest()}"
    key = None if record.key is None else record.key.hex()
    answer = {"name": name, "topic": topic, "key": key, "value": shown, "headers": headers}
    answer["timestamp_ms"] = record.timestamp_us // 1000
    return msgspec.json.encode(answer).decode()


def _gate_input(case: dict[str, Any]) -> tuple[str, bytes | None, dict[str, bytes | None]]:
    """Read an input of the gate: an object, text as it arrived, base64, or text that repeats."""
    if "document" in case:
        value = json.dumps(case["document"]).encode()
    elif "base64" in case:
        value = b64decode(case["base64"])
    else:
        value = (case["text"] + case.get("repeat", "") * case.get("times", 0)).encode()
    return case["name"], value, _headers({})


def _stream_input(case: dict[str, Any]) -> tuple[str, bytes | None, dict[str, bytes | None]]:
    return case["name"], _bytes(case["value"]), _headers(case.get("headers", {}))


def _headers(given: dict[str, Any]) -> dict[str, bytes | None]:
    written = {"tenant": "acme", "received_us": str(NOW_US), **given}
    return {name: _bytes(value) for name, value in written.items() if value is not None}


def _bytes(written: Any) -> bytes | None:  # noqa: ANN401 - JSON
    if written is None or isinstance(written, str):
        return None if written is None else written.encode()
    if "base64" in written:
        return b64decode(written["base64"])
    if "repeat" in written:
        return str(written["repeat"]).encode() * int(written["times"])
    return None
