"""What state the lake is in, read from metadata alone: no data file is opened."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, islice
from typing import Final

from pyiceberg.table import Table
from pyiceberg.table.snapshots import ancestors_of

from processing.lake.catalog import DEAD_LETTER_TABLE, Lake
from processing.lake.coverage import summary_property
from processing.lake.port import LakeHealth, TableHealth
from processing.transformations.layout import PROGRESS_TABLE

JOB_ID: Final = "flink.job-id"
_RECENT_COMMITS: Final = 6


def lake_health(lake: Lake) -> LakeHealth:
    """Return the state of every table of the lake's contracts, and of the dead letters.

    Raises:
        StorageError: The catalog cannot be read.
    """
    names = [*(lake.name(ref) for ref in lake.layouts), DEAD_LETTER_TABLE]
    held = lake.held(names)
    tables = [_table(held.tables[name], held.until[name]) for name in names]
    progress = held.tables.get(PROGRESS_TABLE)
    return LakeHealth(held.positions, tables, () if progress is None else rivals(progress))


def rivals(progress: Table) -> Sequence[str]:
    """Return the jobs that commit beside each other, by the last commits of a table; or none."""
    current = progress.current_snapshot()
    if current is None:
        return ()
    newest = islice(ancestors_of(current, progress.metadata), _RECENT_COMMITS)
    jobs = [job for each in newest if (job := summary_property(each, JOB_ID)) is not None]
    turns = [job for job, _ in groupby(jobs)]
    return sorted(set(turns)) if len(turns) > len(set(turns)) else ()


def _table(table: Table, complete: int) -> TableHealth:
    current = table.current_snapshot()

    def total(key: str) -> int:
        return 0 if current is None else int(summary_property(current, key) or 0)

    return TableHealth(
        table=".".join(table.name()),
        rows=total("total-records"),
        files=total("total-data-files"),
        size_bytes=total("total-files-size"),
        snapshots=len(table.metadata.snapshots),
        last_commit_us=None if current is None else current.timestamp_ms * 1000,
        covered=complete,
    )
