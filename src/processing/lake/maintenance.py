"""Keep the lake small and quick: merge small files, delete what no snapshot needs any more.

Both are safe beside a running writer: a merge that loses a race is done again on the new state, and
a sweep spares what is young, which covers files of commits and queries in flight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import ancestors_of

from agentflow.clock import MICROSECOND, Clock, to_datetime
from agentflow.errors import StorageCorruptError
from processing.lake.catalog import DEAD_LETTER_TABLE, Lake, TableName
from processing.lake.commit import LOG_ID, attempt, expire, said
from processing.lake.reader import local_path
from processing.lake.runs import FULL_ROWS, Run, small_runs

log = structlog.get_logger()

DAY_US: Final = 86_400_000_000
MIN_FILES: Final = 8
GRACE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a merge did to one table. `rows` is how many were rewritten, none lost or added."""

    merges: int = 0
    files_before: int = 0
    rows: int = 0


def compact(
    lake: Lake, name: TableName, *, min_files: int = MIN_FILES, full_rows: int = FULL_ROWS
) -> Compacted:
    """Rewrite neighbouring small files of a day, *min_files* at least, into one, in offset order.

    One commit per merge, checked for conflicts, with the covered offsets carried over. A file with
    *full_rows* rows stays as it is: memory is bounded by that, however long the day.

    Raises:
        StorageError: Others kept committing, or the disk is full.
        StorageCorruptError: Files hold other rows than they declare; nothing was changed.
    """
    total = Compacted()
    for run in small_runs(lake.table(name), min_files=min_files, full_rows=full_rows):
        rows = attempt(lake, name, partial(_merge, name=name, run=run))
        total = Compacted(total.merges + 1, total.files_before + run.files, total.rows + rows)
    if total.merges:
        log.info(
            "lake.table_compacted",
            table=".".join(name),
            merges=total.merges,
            files=total.files_before,
        )
    return total


def sweep(lake: Lake, name: TableName, *, clock: Clock, grace: timedelta = GRACE) -> int:
    """Delete the table's files that no kept snapshot refers to; return how many there were.

    Such files are left by expired snapshots, by merges and by commits that were cut off.
    """
    table = lake.fresh(name)
    needed = set(_referenced(table))
    cutoff_seconds = (clock.now_us() - grace // MICROSECOND) / 1_000_000
    deleted = 0
    for file in Path(local_path(table.location())).rglob("*"):
        if file.is_file() and str(file) not in needed and file.stat().st_mtime < cutoff_seconds:
            file.unlink(missing_ok=True)
            deleted += 1
    if deleted:
        log.info("lake.files_deleted", table=".".join(name), files=deleted)
    return deleted


def _merge(table: Table, *, name: TableName, run: Run) -> int:
    column = "received_at" if name == DEAD_LETTER_TABLE else "occurred_at"
    start, end = to_datetime(run.day * DAY_US), to_datetime((run.day + 1) * DAY_US)
    within = (
        f"{column} >= '{start.isoformat()}' AND {column} < '{end.isoformat()}'"
        f" AND log_offset >= {run.first} AND log_offset <= {run.last}"
    )
    scan = table.scan(row_filter=within)
    declared = sum(task.file.record_count for task in scan.plan_files())
    rows = scan.to_arrow().sort_by("log_offset")
    if rows.num_rows != declared:
        raise StorageCorruptError(
            f'table "{".".join(name)}" has {rows.num_rows} rows on day {start:%Y-%m-%d}, '
            f"its files declare {declared}"
        )
    with table.transaction() as transaction:
        transaction.overwrite(rows, overwrite_filter=within, snapshot_properties=_carried(table))
        expire(transaction, table)
    return int(rows.num_rows)


def _carried(table: Table) -> dict[str, str]:
    """Return the covered offsets of the snapshot a merge builds upon."""
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        if said(snapshot, LOG_ID) is not None and snapshot.summary is not None:
            properties = snapshot.summary.additional_properties
            return {key: value for key, value in properties.items() if key.startswith("agentflow.")}
    return {}


def _referenced(table: Table) -> Iterator[str]:
    yield local_path(table.metadata_location)
    yield from (local_path(entry.metadata_file) for entry in table.metadata.metadata_log)
    manifests: set[str] = set()
    for snapshot in table.metadata.snapshots:
        yield local_path(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in manifests:
                continue
            manifests.add(manifest.manifest_path)
            yield local_path(manifest.manifest_path)
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                yield local_path(entry.data_file.file_path)
