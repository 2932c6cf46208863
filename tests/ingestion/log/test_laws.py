"""Laws of the log: what holds for every sequence of batches, checked against a plain model."""

from __future__ import annotations

import tempfile
from hashlib import blake2b
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentflow.events import RawEvent
from ingestion.log.chunks import decode_chunk, encode_chunks, intact
from ingestion.log.opening import open_log
from ingestion.log.port import DEAD_LETTERS, RAW, VALIDATED, Accept, Batch, NewRecord, Reject
from tests.fakes.memory_log import MemoryLog


def digest(name: object) -> bytes:
    return blake2b(str(name).encode(), digest_size=16).digest()


names = st.integers(0, 12)
accepts = st.builds(
    lambda name, links, value: Accept(
        digest(name), "t", 1, "a", None, value, name, tuple(map(digest, links))
    ),
    names,
    st.lists(names, max_size=2),
    st.binary(max_size=4),
)
rejects = st.builds(Reject, st.just("a"), st.sampled_from(["json", "schema"]), st.binary())
batches = st.lists(st.one_of(accepts, accepts, rejects), max_size=12).map(
    lambda verdicts: Batch([RawEvent(b"raw", "a", n) for n in range(len(verdicts))], verdicts)
)
reopening = st.just("reopen")
quick = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@quick
@given(steps=st.lists(st.one_of(batches, batches, reopening), max_size=8), staged=st.integers(0, 9))
def test_sqlite_log_equals_the_memory_log(steps: list[Batch | str], staged: int) -> None:
    """Merging the index and reopening the file at any point change no answer."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "log.sqlite"
        model = MemoryLog()
        log = open_log(path, staged_identities=staged, staged_links=staged).log
        for step in steps:
            if isinstance(step, str):
                log.close()
                log = open_log(path, staged_identities=staged, staged_links=staged).log
            else:
                assert log.commit(step) == model.commit(step)

        for topic in (RAW, VALIDATED, DEAD_LETTERS):
            assert log.read(topic, start=0, limit=999) == model.read(topic, start=0, limit=999)
        every = [digest(name) for name in range(13)]
        assert log.linked_many(every) == model.linked_many(every)
        assert [log.find_identity(d) for d in every] == [model.find_identity(d) for d in every]
        log.close()


@quick
@given(batch=st.lists(batches, min_size=1, max_size=6))
def test_an_identity_counts_once_and_nothing_disappears(batch: list[Batch]) -> None:
    """What came in = accepted + duplicates + dead letters, and accepted = distinct identities."""
    log = MemoryLog()

    for part in batch:
        log.commit(part)

    verdicts = [verdict for part in batch for verdict in part.dispositions]
    identities = {v.identity for v in verdicts if isinstance(v, Accept)}
    assert log.end(RAW) == len(verdicts)
    assert log.end(VALIDATED) == len(identities)
    assert log.end(DEAD_LETTERS) == sum(isinstance(v, Reject) for v in verdicts)


texts = st.text(max_size=5)
new_records = st.builds(
    NewRecord,
    st.none() | st.binary(max_size=3),
    st.binary(max_size=20),
    st.dictionaries(texts, texts, max_size=2),
    st.integers(-(2**63), 2**63 - 1),
)


@quick
@given(records=st.lists(new_records, min_size=1, max_size=600), first=st.integers(0, 2**62))
def test_chunks_unpack_to_what_was_packed(records: list[NewRecord], first: int) -> None:
    """Packing is lossless and leaves no gap between chunks."""
    chunks = list(encode_chunks(first, records))

    unpacked = [record for chunk in chunks for record in decode_chunk("t", chunk)]

    assert [r.offset for r in unpacked] == list(range(first, first + len(records)))
    assert [NewRecord(r.key, r.value, r.headers, r.timestamp_us) for r in unpacked] == records


@quick
@given(records=st.lists(new_records, min_size=1, max_size=20), data=st.data())
def test_a_flipped_bit_in_a_chunk_is_seen(records: list[NewRecord], data: st.DataObject) -> None:
    """Disks flip bits; a number must not change because one did."""
    (chunk,) = encode_chunks(0, records)
    bit = data.draw(st.integers(0, 8 * len(chunk.records) - 1))

    damaged = bytearray(chunk.records)
    damaged[bit // 8] ^= 1 << bit % 8

    assert intact(chunk)
    assert not intact(chunk._replace(records=bytes(damaged)))
