"""The conformance suite of `CommitLog`: what it adds to `Bus` (tests/ingestion/test_bus.py)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ingestion.log.port import (
    DEAD_LETTERS,
    PIPELINE,
    RAW,
    VALIDATED,
    CommitLog,
    DeadLettered,
    Duplicate,
    Stored,
)

if TYPE_CHECKING:
    from tests.ingestion.log.conftest import Make


def test_a_topic_nobody_wrote_to_has_no_offsets(log: CommitLog) -> None:
    """Lineage of a fresh log finds nothing, and says so."""
    assert log.read_offsets("quiet", [0]) == []


def test_read_offsets_sorts_and_skips_what_does_not_exist(log: CommitLog, make: Make) -> None:
    """Lineage asks for scattered offsets, some from another life of the log."""
    log.append("changes", [make.new(b"%d" % n) for n in range(600)])

    records = log.read_offsets("changes", [599, 3, 3, 256, 600, 10_000])

    assert [(r.offset, r.value) for r in records] == [(3, b"3"), (256, b"256"), (599, b"599")]


def test_every_raw_event_gets_its_outcome_in_order(log: CommitLog, make: Make) -> None:
    """The sender is told event by event what became of it."""
    log.commit(make.accepts("known"))

    committed = log.commit(
        make.batch(make.accept("a"), make.reject(), make.accept("known"), make.accept("b"))
    )

    assert committed.outcomes == [
        Stored(1, 1),
        DeadLettered(2, 0),
        Duplicate(3, 0),
        Stored(4, 2),
    ]
    assert committed.raw == range(1, 5)
    assert committed.validated == range(1, 3)
    assert committed.dead_letters == range(1)


def test_an_identity_repeated_in_one_batch_is_a_duplicate(log: CommitLog, make: Make) -> None:
    """A retry can arrive in the same group commit as the first attempt."""
    committed = log.commit(make.accepts("a", "a", "b", "a"))

    assert committed.outcomes == [Stored(0, 0), Duplicate(1, 0), Stored(2, 1), Duplicate(3, 0)]
    assert log.end(VALIDATED) == 2


def test_accepted_records_carry_what_lineage_needs(log: CommitLog, make: Make) -> None:
    """From `validated` one finds the contract version, the tenant and the raw bytes."""
    log.commit(make.batch(make.reject(), make.accept("a")))

    (record,) = log.read(VALIDATED, start=0, limit=9)

    assert record.headers == {
        "type": "order.created",
        "version": "1",
        "tenant": "t",
        "occurred_us": "1000",
        "raw_offset": "1",
    }
    assert (record.key, record.value, record.timestamp_us) == (b"ORD-1", b"value of a", 1)
    assert log.read_offsets(RAW, [1])[0].value == b"raw 1"


def test_dead_letters_carry_why_and_which(log: CommitLog, make: Make) -> None:
    """Triage needs the reason, the tenant and the way back to the bytes."""
    log.commit(make.batch(make.accept("a"), make.reject("json")))

    (record,) = log.read(DEAD_LETTERS, start=0, limit=9)

    assert record.headers == {"type": "x", "tenant": "t", "reason": "json", "raw_offset": "1"}
    assert record.value == b'{"pointer":"/data"}'


def test_what_was_refused_before_is_one_dead_letter(log: CommitLog, make: Make) -> None:
    """A file that is sent again, and one batch that holds a row twice, add nothing."""
    first = log.commit(make.batch(make.reject(same="a"), make.reject(), make.reject(same="a")))
    later = log.commit(
        make.batch(make.reject(same="b"), make.reject(same="a"), make.accept("a"), make.reject())
    )

    assert first.outcomes == [DeadLettered(0, 0), DeadLettered(1, 1), DeadLettered(2, 0)]
    assert later.outcomes == [
        DeadLettered(3, 2), DeadLettered(4, 0), Stored(5, 0), DeadLettered(6, 3)
    ]  # fmt: skip
    assert (first.dead_letters, later.dead_letters) == (range(2), range(2, 4))
    assert (log.end(RAW), log.end(DEAD_LETTERS), log.end(VALIDATED)) == (7, 4, 1)


def test_the_pipeline_position_moves_with_the_commit(log: CommitLog, make: Make) -> None:
    """After a crash nothing of `raw` is judged twice or skipped."""
    log.commit(make.accepts("a", "b"))

    assert log.position(PIPELINE, RAW) == log.end(RAW) == 2


def test_an_empty_commit_is_harmless(log: CommitLog, make: Make) -> None:
    """A request with no events is nobody's error here."""
    committed = log.commit(make.batch())

    assert (committed.outcomes, committed.raw, committed.validated) == ([], range(0), range(0))


def test_a_batch_needs_one_verdict_for_each_event(log: CommitLog, make: Make) -> None:
    """A miscount would pair events with each other's verdicts: it stores nothing."""
    batch = make.accepts("a", "b")
    batch = type(batch)(batch.raws, batch.dispositions[:1])

    with pytest.raises(ValueError, match="shorter"):
        log.commit(batch)

    assert log.end(RAW) == 0


def test_identities_are_found_again(log: CommitLog, make: Make) -> None:
    """Lineage goes from an id to its offset."""
    log.commit(make.accepts("a", "b", "a"))

    assert log.find_identity(make.digest("b")) == 1
    assert log.find_identity(make.digest("never")) is None


def test_links_find_every_new_event_in_order(log: CommitLog, make: Make) -> None:
    """A correction finds what it corrects; duplicates add no link."""
    log.commit(make.batch(make.accept("a", "order 1"), make.accept("b", "order 1", "user 1")))
    log.commit(make.batch(make.accept("a", "order 1"), make.accept("c", "order 1")))

    assert list(log.linked(make.digest("order 1"))) == [0, 1, 2]
    assert list(log.linked(make.digest("order 1"), before=2)) == [0, 1]
    assert list(log.linked(make.digest("user 1"))) == [1]
    assert list(log.linked(make.digest("nobody"))) == []


def test_many_links_are_asked_at_once(log: CommitLog, make: Make) -> None:
    """One round trip for a batch; links to nothing are left out."""
    log.commit(make.batch(make.accept("a", "x"), make.accept("b", "y"), make.accept("c", "x")))
    x, y, z = (make.digest(name) for name in "xyz")

    assert {k: list(v) for k, v in log.linked_many([x, y, z, x]).items()} == {x: [0, 2], y: [1]}
    assert {k: list(v) for k, v in log.linked_many([x, y], before=1).items()} == {x: [0]}


def test_commits_from_many_threads_take_turns(log: CommitLog, make: Make) -> None:
    """Every outcome is true: offsets are dense and each identity is stored once."""
    batches = [make.accepts(*(n % 50 for n in range(start, start + 20))) for start in range(40)]

    with ThreadPoolExecutor(8) as threads:
        commits = list(threads.map(log.commit, batches))

    stored = [o.offset for c in commits for o in c.outcomes if isinstance(o, Stored)]
    assert sorted(stored) == list(range(50))
    assert sorted(o for c in commits for o in c.raw) == list(range(800))
