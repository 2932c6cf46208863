"""Opening a log always succeeds, keeps what is readable, and says what it dropped."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentflow.errors import StorageCorruptError
from agentflow.events import RawEvent
from ingestion.log.opening import Opened, open_log
from ingestion.log.port import RAW, VALIDATED, Accept, Batch, Duplicate, Stored
from ingestion.log.wal import dropped_commits

if TYPE_CHECKING:
    from tests.ingestion.log.conftest import Make

SEED = 20_261_121
CASES = 40


def numbered(numbers: range) -> Batch:
    """Return a batch whose events can be told from their bytes."""
    raws = [RawEvent(b"%d" % n * 9, "t", n) for n in numbers]
    verdicts = [
        Accept(b"%016d" % n, "t", 1, "t", None, b"%d" % n, n, (b"link%012d" % (n % 7),))
        for n in numbers
    ]
    return Batch(raws, verdicts)


def opened_numbers(opened: Opened) -> list[int]:
    return [int(r.value) for r in opened.log.read(VALIDATED, start=0, limit=10**6)]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a log of 3,000 events, part of them in a WAL that was never written back."""
    directory = tmp_path_factory.mktemp("healthy")
    path = directory / "log.sqlite"
    log = open_log(path, new_id=lambda: "original", staged_identities=64, staged_links=64).log
    for start in range(0, 2_000, 100):
        log.commit(numbered(range(start, start + 100)))
    log.close()
    log = open_log(path, staged_identities=64, staged_links=64).log
    for start in range(2_000, 3_000, 100):
        log.commit(numbered(range(start, start + 100)))
    crashed = tmp_path_factory.mktemp("crashed")
    for file in directory.iterdir():
        shutil.copy(file, crashed)
    log.close()
    return crashed


@pytest.fixture
def directory(healthy: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(healthy, copy)
    return copy


def test_a_new_log_reports_that_it_was_created(reopen: Callable[..., Opened]) -> None:
    """First start is not damage."""
    opened = reopen()

    assert opened.report.outcome == "created"
    assert not opened.report.damaged


def test_the_log_id_survives_reopening(reopen: Callable[..., Opened]) -> None:
    """Tokens carry it: a new id would invalidate every token."""
    first = reopen().log.log_id

    assert reopen().log.log_id == first


def test_an_untouched_crashed_log_opens_whole(directory: Path) -> None:
    """The WAL of a killed process is part of the log."""
    opened = open_log(directory / "log.sqlite")

    assert opened.report.outcome == "opened"
    assert opened_numbers(opened) == list(range(3_000))
    opened.log.close()


@pytest.mark.parametrize("case", range(CASES))
def test_a_log_with_flipped_bytes_opens_and_lies_about_nothing(directory: Path, case: int) -> None:
    """Promise 19: opens or is moved aside; what is read was written; new events go on."""
    chance = random.Random(SEED + case)
    suffix = chance.choice(["", "", "-wal"])
    flips = chance.choice([1, 1, 3, 30])
    file = directory / f"log.sqlite{suffix}"
    content = bytearray(file.read_bytes())
    for _ in range(flips):
        content[chance.randrange(len(content))] ^= chance.randrange(1, 256)
    file.write_bytes(content)

    opened = open_log(directory / "log.sqlite", staged_identities=64, staged_links=64)

    numbers = opened_numbers(opened)
    assert numbers == sorted(set(numbers))
    assert set(numbers) <= set(range(3_000))
    if not opened.report.damaged:
        assert numbers == list(range(3_000))
    if opened.report.outcome in {"salvaged", "replaced"}:
        assert opened.report.quarantined
        assert opened.report.kept[VALIDATED] == len(numbers)
    again = opened.log.commit(numbered(range(3_000)))
    kinds = [type(outcome) for outcome in again.outcomes]
    assert kinds.count(Duplicate) == len(numbers)
    if opened.log.log_id == "original":
        fresh = [outcome.offset for outcome in again.outcomes if isinstance(outcome, Stored)]
        assert all(offset >= 3_000 for offset in fresh), "an offset was given twice"
    opened.log.close()


@pytest.mark.parametrize("cut", [1, 4_096, 8_191, 8_192, 8_193, 8_216])
def test_a_commit_that_was_cut_off_while_it_was_written_is_no_damage(
    directory: Path, cut: int
) -> None:
    """A kill between the header of the last frame and its page: nobody was told of that commit.

    The kernel stops such a write at any page boundary (once in 20 runs of `test_crash.py`).
    """
    file = directory / "log.sqlite-wal"
    file.write_bytes(file.read_bytes()[:-cut])

    opened = open_log(directory / "log.sqlite")

    assert opened.report.outcome == "opened"
    assert opened_numbers(opened) == list(range(2_900))
    assert opened.log.end(VALIDATED) == 2_900
    opened.log.close()


def test_frames_of_an_earlier_round_are_no_lost_commits(tmp_path: Path) -> None:
    """SQLite begins a WAL again at its start: behind the newest frames lie some of before."""
    path = tmp_path / "log.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("CREATE TABLE numbers (n INTEGER)")
    for number in range(20):
        connection.execute("INSERT INTO numbers VALUES (?)", (number,))
    before = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    connection.execute("INSERT INTO numbers VALUES (20)")
    _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    wal = tmp_path / "log.sqlite-wal"

    lost = dropped_commits(wal, recovered_frames=frames)
    of_this_round = dropped_commits(wal, recovered_frames=0)

    connection.close()
    assert before[1] > 2 * frames
    assert (lost, of_this_round) == (0, 1)


@pytest.mark.parametrize("size", [0, 1, 100, 8_192, 8_193, 100_000])
def test_a_truncated_log_opens(directory: Path, size: int) -> None:
    """A copy that stopped half way, a file system that lost the tail."""
    file = directory / "log.sqlite"
    file.write_bytes(file.read_bytes()[:size])
    (directory / "log.sqlite-wal").unlink()

    opened = open_log(file)

    assert opened.report.damaged
    assert opened.report.quarantined
    assert set(opened_numbers(opened)) <= set(range(2_000))
    opened.log.commit(numbered(range(3)))
    opened.log.close()


@pytest.mark.parametrize("content", [b"", b"x", b"garbage" * 5_000, b"SQLite format 3\0" * 900])
def test_garbage_is_moved_aside_and_the_log_starts_empty(tmp_path: Path, content: bytes) -> None:
    """Somebody wrote something else there; that is kept too, under another name."""
    file = tmp_path / "log.sqlite"
    file.write_bytes(content)

    opened = open_log(file, new_id=lambda: "fresh")

    assert opened.report.outcome == "replaced"
    assert opened.log.log_id == "fresh"
    assert opened.log.end(RAW) == 0
    assert tmp_path / "log.sqlite.corrupt-1" in opened.report.quarantined
    assert (tmp_path / "log.sqlite.corrupt-1").read_bytes() == content
    opened.log.close()


def test_another_program_s_database_is_not_taken_for_a_log(tmp_path: Path) -> None:
    """A valid SQLite file without our mark is moved aside unharmed."""
    file = tmp_path / "log.sqlite"
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE precious (value TEXT)")
    other.commit()
    other.close()

    opened = open_log(file)

    assert opened.report.outcome == "replaced"
    opened.log.close()
    other = sqlite3.connect(tmp_path / "log.sqlite.corrupt-1")
    assert other.execute("SELECT count(*) FROM precious").fetchone() == (0,)
    other.close()


def damage_chunk(file: Path, *, first: int) -> None:
    """Flip a bit inside one stored chunk, in a way that SQLite itself cannot notice."""
    connection = sqlite3.connect(file)
    (records,) = connection.execute(
        "SELECT records FROM topic_validated WHERE first_offset = ?", (first,)
    ).fetchone()
    damaged = records[:50] + bytes([records[50] ^ 1]) + records[51:]
    connection.execute(
        "UPDATE topic_validated SET records = ? WHERE first_offset = ?", (damaged, first)
    )
    connection.commit()
    connection.close()


def test_a_flipped_bit_in_the_index_counts_no_event_twice(directory: Path) -> None:
    """SQLite finds nothing wrong with a changed digest; comparing it with the chunks does."""
    file = directory / "log.sqlite"
    connection = sqlite3.connect(file)
    connection.execute(
        "UPDATE identity_entries SET digest = 'x' || substr(digest, 2) "
        "WHERE digest = (SELECT max(digest) FROM identity_entries)"
    )
    connection.commit()
    connection.close()

    opened = open_log(file)

    assert opened.report.outcome == "opened"
    assert opened.report.problems == ("the index of identities was wrong and is rebuilt",)
    assert opened.log.commit(numbered(range(3_000))).validated == range(3_000, 3_000)
    opened.log.close()


@pytest.mark.parametrize("position", range(24))
def test_a_damaged_header_costs_nothing(directory: Path, position: int) -> None:
    """The first bytes are the same in every log, so they can be written again."""
    file = directory / "log.sqlite"
    content = bytearray(file.read_bytes())
    content[position] ^= 3
    file.write_bytes(content)

    opened = open_log(file)

    assert opened.report.outcome == "salvaged"
    assert opened_numbers(opened) == list(range(3_000))
    opened.log.close()


def test_a_salvage_says_which_offsets_are_gone(directory: Path) -> None:
    """The operator, and whoever rebuilds from the lake, must know exactly what is missing."""
    file = directory / "log.sqlite"
    damage_chunk(file, first=500)

    opened = open_log(file)

    assert opened.report.outcome == "salvaged"
    assert opened.report.lost[VALIDATED] == (range(500, 600),)
    assert opened.report.kept[RAW] == 3_000
    assert opened.report.kept[VALIDATED] == 2_900
    assert opened.log.log_id == "original"
    assert opened.log.end(VALIDATED) >= 1 << 20
    opened.log.close()


def test_a_second_damage_gets_a_second_quarantine(directory: Path) -> None:
    """No evidence is overwritten."""
    file = directory / "log.sqlite"
    for first in (500, 900):
        damage_chunk(file, first=first)
        open_log(file).log.close()

    names = sorted(path.name for path in directory.glob("*.corrupt-*") if path.suffix != "-wal")
    assert {"log.sqlite.corrupt-1", "log.sqlite.corrupt-2"} <= set(names)


def test_a_swap_that_was_cut_off_is_finished(directory: Path) -> None:
    """Killed between moving the old file away and moving the new one in: nothing is lost."""
    file = directory / "log.sqlite"
    open_log(file).log.close()
    file.rename(directory / "log.sqlite.salvaged")

    opened = open_log(file)

    assert opened_numbers(opened) == list(range(3_000))
    opened.log.close()


def test_damage_that_appears_while_running_is_an_error_not_a_number(directory: Path) -> None:
    """A checksum guards every read, also after the check at opening."""
    file = directory / "log.sqlite"
    opened = open_log(file)
    damage_chunk(file, first=500)

    with pytest.raises(StorageCorruptError, match="offsets 500 to 599"):
        opened.log.read(VALIDATED, start=550, limit=1)
    opened.log.close()


def test_a_large_file_is_checked_at_its_tail_only(directory: Path) -> None:
    """Start-up time must not grow with the log; reading checks the rest."""
    file = directory / "log.sqlite"

    opened = open_log(file, full_check_bytes=0)

    assert opened.report.outcome == "opened"
    opened.log.close()


def test_what_the_lake_remembers_is_not_counted_again(
    reopen: Callable[..., Opened], make: Make
) -> None:
    """After starting empty, the identities in the lake make their events duplicates."""
    reopen().log.remember([(make.digest("old"), 41)])
    log = reopen().log

    committed = log.commit(make.accepts("old", "new"))

    assert committed.outcomes == [Duplicate(0, 41), Stored(1, 0)]
