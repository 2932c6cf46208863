"""Hostile bytes: nothing crashes the gate, and every input has exactly one verdict."""

from __future__ import annotations

import os
import random
from collections import Counter

import msgspec

from agentflow.contracts import Registry
from agentflow.events import RawEvent
from quality import Accepted, Gate, Rejected

NOW_US = 1_795_252_802_000_000
INPUTS = int(os.environ.get("AGENTFLOW_FUZZ_INPUTS", "100000"))
_TOKENS = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"null", b"true", b"NaN", b"1e400", b"-0"),
    *(b"\\u0000", b"\\ud800", b"\xff", b"\xed\xa0\x80", b"\x00", b"9" * 40, b'"data":', b'"id":'),
    *(b"[" * 2000, b" ", b"1.0", b'"type":"order.created"', b'"tenant":"other"', b"2026-11-21"),
]


def _seeds() -> list[bytes]:
    data = {
        "order.created": {"order_id": "O-1", "amount": "99.50", "currency": "EUR", "country": "DE"},
        "payment.captured": {"payment_id": "P-1", "amount": 9.5, "currency": "USD"},
        "page.viewed": {"session_id": "S-1", "page": "/é", "load_ms": 12},
        "stock.changed": {"product_id": "P-1", "change": -2},
    }
    return [
        msgspec.json.encode(
            {"specversion": "1.0", "id": "1", "source": "/shop", "type": name, "data": fields}
            | {"time": "2026-11-21T09:20:01.123Z"}
        )
        for name, fields in data.items()
    ]


def _mutated(value: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 5))):
        at = chance.randrange(len(value) + 1)
        until = min(len(value), at + chance.choice((0, 0, 1, 1, 4, 20)))
        token = chance.choice((chance.choice(_TOKENS), bytes([chance.randrange(256)]), b""))
        value = value[:at] + token + value[until:]
    return value


def test_every_mutated_input_is_accepted_or_rejected(shop: Registry) -> None:
    """One input that raises would stop everything behind it in the log."""
    gate, chance, seeds = Gate(shop), random.Random(20261121), _seeds()
    verdicts: Counter[str] = Counter()

    for _ in range(INPUTS):
        raw = RawEvent(_mutated(chance.choice(seeds), chance), "default", NOW_US)
        verdict = gate.judge(raw)
        if isinstance(verdict, Accepted):
            verdicts["accepted"] += 1
            assert gate.decode(verdict.event.ref, gate.encode(verdict.event)) == verdict.event
        else:
            assert isinstance(verdict, Rejected)
            assert verdict.violations
            verdicts[verdict.reason] += 1

    assert verdicts.total() == INPUTS
    assert verdicts["accepted"] > INPUTS / 20
    assert len(verdicts) > 12
