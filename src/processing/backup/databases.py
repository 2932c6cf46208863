"""Copy a SQLite file that is being written to, as it was at one instant."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from agentflow.errors import StorageError
from agentflow.wording import quoted
from ingestion.log.faults import translated

_PAGES_AT_ONCE: Final = 4_096


def copy_database(source: Path, copy: Path, moved: Callable[[float], None]) -> None:
    """Copy *source*, which others may write to meanwhile, to the new file *copy*.

    The copy is of the instant at which this began: a transaction for reading is open all the time,
    so that writers neither wait nor make the copy begin again. What they write stays in the file's
    write-ahead log until this ends.

    Args:
        source: The file; a write-ahead log beside it counts.
        copy: Where to; it has no write-ahead log afterwards.
        moved: Is told the fraction that is done.

    Raises:
        StorageError: It cannot be read, or the copy cannot be written.
    """

    def progress(_status: int, remaining: int, total: int) -> None:
        moved(1 - remaining / max(total, 1))

    uri = f"{source.absolute().as_uri()}?mode=ro"
    with (
        translated(f"{source}, or its copy in {copy.parent},"),
        closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10)) as reading,
        closing(sqlite3.connect(copy, isolation_level=None)) as writing,
    ):
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
        reading.backup(writing, pages=_PAGES_AT_ONCE, progress=progress, sleep=0)
        found = str(writing.execute("PRAGMA quick_check(1)").fetchone()[0])
        if found != "ok":
            raise StorageError(
                f"file {quoted(source)} is damaged: {found}",
                hint="Restart the platform: it repairs what it can; then take the backup again.",
            )
