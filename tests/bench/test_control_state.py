"""What one flipped bit costs: the same rows in SQLite and in DuckDB, killed before a checkpoint.

uv run --frozen pytest tests/bench/test_control_state.py -m bench -s
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

SEED = 20_261_121
FILES = 25
ROWS = 200


def sqlite_rows(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM triage").fetchone()[0])
    finally:
        connection.close()


def duckdb_rows(path: Path) -> int:
    with duckdb.connect(str(path)) as connection:
        row = connection.execute("SELECT count(*) FROM triage").fetchone()
        return int(row[0]) if row else 0


def crashed_sqlite(directory: Path) -> Path:
    """Return a copy, taken while it was open, of a file whose rows are all in the WAL."""
    connection = sqlite3.connect(directory / "live", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("CREATE TABLE triage (offset INTEGER PRIMARY KEY, note TEXT)")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for number in range(ROWS):
        connection.execute("INSERT INTO triage VALUES (?, ?)", (number, "note " * 10))
    shutil.copy(directory / "live", directory / "state")
    shutil.copy(directory / "live-wal", directory / "state-wal")
    connection.close()
    return directory / "state"


def crashed_duckdb(directory: Path) -> Path:
    """Return the same for DuckDB."""
    connection = duckdb.connect(str(directory / "live"))
    connection.execute("PRAGMA disable_checkpoint_on_shutdown")
    connection.execute("CREATE TABLE triage (entry BIGINT PRIMARY KEY, note VARCHAR)")
    connection.execute("CHECKPOINT")
    for number in range(ROWS):
        connection.execute("INSERT INTO triage VALUES (?, ?)", (number, "note " * 10))
    shutil.copy(directory / "live", directory / "state")
    shutil.copy(directory / "live.wal", directory / "state.wal")
    connection.close()
    return directory / "state"


def opened(
    state: Path, wal: Path, rows: Callable[[Path], int], *, chance: random.Random
) -> list[int]:
    """Flip one bit of the WAL, again and again from the same start; return rows that came back."""
    found = []
    main, log = state.read_bytes(), wal.read_bytes()
    for _ in range(FILES):
        damaged = bytearray(log)
        bit = chance.randrange(8 * len(damaged))
        damaged[bit // 8] ^= 1 << bit % 8
        state.write_bytes(main)
        wal.write_bytes(damaged)
        try:
            found.append(rows(state))
        except (sqlite3.Error, duckdb.Error):
            found.append(-1)
    return found


def test_a_flipped_bit_in_the_wal(tmp_path: Path) -> None:
    """ADR 0003: state that cannot be rebuilt lives where one bit cannot lock it in."""
    for name in ("sqlite", "duckdb"):
        (tmp_path / name).mkdir()
    lite, duck = crashed_sqlite(tmp_path / "sqlite"), crashed_duckdb(tmp_path / "duckdb")

    in_sqlite = opened(lite, lite.with_name("state-wal"), sqlite_rows, chance=random.Random(SEED))
    in_duckdb = opened(duck, duck.with_name("state.wal"), duckdb_rows, chance=random.Random(SEED))

    for name, found in (("SQLite", in_sqlite), ("DuckDB", in_duckdb)):
        usable = [rows for rows in found if rows >= 0]
        print(
            f"\n{name}: opened {len(usable)} of {FILES}, "
            f"rows that came back on average {sum(usable) / max(1, len(usable)):.0f} of {ROWS}"
        )
    assert in_sqlite.count(-1) <= in_duckdb.count(-1)
