"""Keys before the gate are the keys after it, and partitions are the ones Kafka chooses."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final

import pytest

from agentflow.events import RawEvent
from agentflow.lint import read_directory
from ingestion.generate import read_scenario
from ingestion.keys import KeyExtractor
from ingestion.partitioner import murmur2, partition_of
from quality import Accepted, Gate

ROOT = Path(__file__).parents[2]
REGISTRY = read_directory(ROOT / "contracts").registry

RUN: Final = {"seed": 7, "start_us": 1_767_225_600_000_000}


@pytest.fixture(scope="module")
def keys() -> KeyExtractor:
    return KeyExtractor(REGISTRY)


def test_the_key_is_the_one_the_gate_finds(keys: KeyExtractor) -> None:
    """Otherwise events of one order would be in two partitions of two topics."""
    gate = Gate(REGISTRY)
    found = 0

    for event in islice(
        read_scenario(ROOT / "contracts", REGISTRY).generator(**RUN).events(), 1_000
    ):
        verdict = gate.judge(RawEvent(event.value, "default", event.due_us))
        if isinstance(verdict, Accepted):
            found += verdict.key is not None
            assert keys.key(event.value) == verdict.key

    assert found > 100


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"type":"order.created"}',
        b'{"type":"nobody.knows","data":{"order_id":"A"}}',
        b'{"type":"order.created","data":{"order_id":1.5}}',
        b'{"type":"order.created","data":' + b"[" * 100_000,
        b'{"type":"order.created","dataversion":99,"data":{"order_id":"A"}}',
    ],
)
def test_what_cannot_be_read_has_no_key(keys: KeyExtractor, value: bytes) -> None:
    """It is appended all the same: the gate says why it is refused."""
    assert keys.key(value) is None


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_the_one_of_kafkas_clients(key: bytes, expected: int) -> None:
    """Known values of Kafka's own implementation, as signed 32-bit integers."""
    assert murmur2(key) == expected & 0xFFFFFFFF
    assert partition_of(key, 7) == (expected & 0x7FFFFFFF) % 7
