"""Move what is damaged of a lake aside; it is kept, for people, beside the lake.

A table that is gone from the catalog is created empty and written again from the log: the batch
table, which says up to where all tables are complete, goes with it, and the others skip what they
have.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from itertools import count
from pathlib import Path

from processing.lake.catalog import BATCH_TABLE, LakeTableName
from processing.lake.inspection import CATALOG_FILE


def set_lake_aside(directory: Path) -> Path:
    """Move the whole lake; return where it is now."""
    return directory.rename(_aside(directory))


def set_tables_aside(directory: Path, names: Iterable[LakeTableName]) -> Path:
    """Take tables out of the lake; return where their files are now.

    The catalog forgets them first: when this is cut off, their folders are found to be unknown to
    it at the next start.
    """
    gone = sorted({*names, BATCH_TABLE})
    with closing(sqlite3.connect(directory / CATALOG_FILE, timeout=10)) as connection, connection:
        connection.executemany(
            "DELETE FROM iceberg_tables WHERE table_namespace = ? AND table_name = ?", gone
        )
    aside = _aside(directory)
    for name in gone:
        folder = directory.joinpath(*name)
        if folder.exists():
            target = aside.joinpath(*name)
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(target)
    return aside


def _aside(directory: Path) -> Path:
    return next(
        aside
        for number in count(1)
        if not (aside := directory.with_name(f"{directory.name}.corrupt-{number}")).exists()
    )
