"""What the log is told of each verdict."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts import Registry
from agentflow.events import RawEvent
from ingestion.log.port import Accept, Reject
from processing.transformations import DeadLetter, Linker, Router, dead_letter
from quality import Accepted, Gate, Rejected

NOW_US = 1_795_252_802_000_000
GOOD = b'{"id":"1","type":"parcel.sent","data":{"parcel_id":"AB1","price":"1.00","currency":"EUR"}}'


def test_an_accepted_event_goes_to_the_validated_topic(registry: Registry, gate: Gate) -> None:
    """The record is all that consumers get, so it must hold the whole event."""
    raw = RawEvent(GOOD, "acme", NOW_US)
    verdict = gate.judge(raw)
    assert isinstance(verdict, Accepted)

    accept = Router(registry, gate).route(raw, verdict)

    assert isinstance(accept, Accept)
    assert gate.decode(verdict.event.ref, accept.value) == verdict.event
    assert (accept.type, accept.version, accept.tenant) == ("parcel.sent", 2, "acme")
    assert (accept.identity, accept.key) == (verdict.identity, b"AB1")
    assert accept.occurred_us == NOW_US
    assert accept.links == Linker(registry).links(verdict.event)


def test_a_rejected_event_becomes_a_dead_letter_with_all_it_needs(
    registry: Registry, gate: Gate
) -> None:
    """Whoever fixes it needs the bytes, every reason, the contract, and what to mask."""
    raw = RawEvent(GOOD.replace(b'"1.00"', b"1.005"), "acme", NOW_US)

    reject = Router(registry, gate).route(raw, gate.judge(raw))

    assert isinstance(reject, Reject)
    assert (reject.tenant, reject.reason) == ("acme", "scale_exceeded")
    assert (reject.type, reject.event_id) == ("parcel.sent", "1")
    letter = msgspec.json.decode(reject.detail, type=DeadLetter)
    assert letter.raw is not None
    assert letter.raw.encode() == raw.value
    assert letter.violations[0].pointer == "/data/price"
    assert (letter.version, letter.personal) == (2, ("/data/sender",))
    assert letter.received_at == "2026-11-21T09:20:02.000000Z"


@given(value=st.binary(max_size=200))
def test_any_bytes_fit_a_dead_letter(gate: Gate, value: bytes) -> None:
    """Noise is kept exactly: it may turn out to be somebody's compressed events."""
    raw = RawEvent(value, "acme", NOW_US)
    rejected = gate.judge(raw)
    assert isinstance(rejected, Rejected)

    written = msgspec.json.encode(dead_letter(rejected, raw))

    letter = msgspec.json.decode(written)
    kept = letter.get("raw", "").encode() or msgspec.json.decode(
        msgspec.json.encode(letter.get("raw_base64", "")), type=bytes
    )
    assert kept == value
    assert letter["size_bytes"] == len(value)
