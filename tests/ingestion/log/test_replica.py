"""A replica: offsets of another log, each record once, positions with their effect."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentflow.errors import StorageFullError
from ingestion.log.opening import open_log
from ingestion.log.port import DEAD_LETTERS, VALIDATED, NewRecord
from ingestion.log.refill import OffsetRecord
from ingestion.log.replica import ReplicaBatch

NAMES = st.integers(0, 15)
TOPIC = st.lists(NAMES, max_size=40)


def digest(name: int) -> bytes:
    return bytes([name * 16]) + bytes(14) + bytes([name])


def placed(offset: int, name: int) -> OffsetRecord:
    record = NewRecord(b"k", b"%d" % name, {"type": "t"}, name)
    return OffsetRecord(offset, record, digest(name), (digest(name % 3),))


def letter(offset: int, name: int) -> OffsetRecord:
    return OffsetRecord(offset, NewRecord(None, b"%d" % name, {"tenant": "t"}, name))


def delivery(
    validated: Sequence[OffsetRecord] = (),
    letters: Sequence[OffsetRecord] = (),
    **positions: int | None,
) -> ReplicaBatch:
    return ReplicaBatch(validated, letters, {("c", name): end for name, end in positions.items()})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    topic=TOPIC,
    steps=st.lists(st.tuples(st.integers(1, 8), st.integers(0, 5), st.booleans()), max_size=14),
    staged=st.integers(0, 6),
)
def test_a_replica_holds_the_first_of_each_identity_at_its_own_offset(
    topic: list[int], steps: list[tuple[int, int, bool]], staged: int
) -> None:
    """However the topic is cut into deliveries, read again, and the process started again."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "log.sqlite"
        log = open_log(path, staged_identities=staged, staged_links=staged).log
        read = 0
        for size, back, restart in [*steps, (40, 0, False)]:
            start = max(read - back, 0)
            part = [placed(o, name) for o, name in enumerate(topic[start:][:size], start)]
            new = log.replicate(delivery(part, position=start + len(part)))
            held = {record.offset for record in log.read(VALIDATED, start=0, limit=99)}
            assert {item.offset for item in new.validated} == {o for o in held if o >= read}
            read = max(read, start + len(part))
            if restart:
                log.close()
                log = open_log(path, staged_identities=staged, staged_links=staged).log
                assert log.position("c", "position") == start + len(part)

        first = {name: topic[:read].index(name) for name in set(topic[:read])}
        records = log.read(VALIDATED, start=0, limit=99)
        assert [(r.offset, int(r.value)) for r in records] == sorted(
            (offset, name) for name, offset in first.items()
        )
        for name in range(16):
            assert log.find_identity(digest(name)) == first.get(name)
        for link in range(3):
            linked = sorted(offset for name, offset in first.items() if name % 3 == link)
            assert list(log.linked(digest(link))) == linked
        log.close()


def test_positions_are_stored_with_the_records_or_not_at_all(tmp_path: Path) -> None:
    """A full disk must not move a position beyond what was stored."""
    log = open_log(tmp_path / "log.sqlite", max_bytes=256 << 10).log
    log.replicate(delivery([placed(3, 1)], [letter(5, 2)], a=4, b=6))
    large = OffsetRecord(4, NewRecord(None, b"x" * (512 << 10), {}, 0), digest(9))

    with pytest.raises(StorageFullError):
        log.replicate(delivery([large], a=5))
    log.replicate(delivery([placed(7, 3)], b=None))

    assert log.positions(["c"]) == {("c", "a"): 4}
    assert [record.offset for record in log.read(VALIDATED, start=0, limit=9)] == [3, 7]
    assert [record.offset for record in log.read(DEAD_LETTERS, start=0, limit=9)] == [5]
    assert (log.end(VALIDATED), log.end(DEAD_LETTERS)) == (8, 6)
    log.close()


def test_a_replica_need_not_sync_each_commit(tmp_path: Path) -> None:
    """What a power cut takes is fetched again; a process that is killed loses nothing."""
    log = open_log(tmp_path / "log.sqlite", synchronous="NORMAL").log
    log.replicate(delivery([placed(0, 1)], a=1))
    copy = open_log(tmp_path / "log.sqlite").log

    assert copy.find_identity(digest(1)) == 0
    log.close()
    copy.close()
