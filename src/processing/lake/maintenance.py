"""Keep the lake small and quick: merge small files, delete what no snapshot needs any more.

Both are safe beside a running writer: a merge that loses a race is done again on the new state, and
a sweep spares what is young, which covers files of commits and queries in flight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import structlog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import ancestors_of

from agentflow.clock import MICROSECOND, Clock, to_datetime
from agentflow.errors import StorageCorruptError
from agentflow.wording import counted
from processing.lake.bounds import ColumnBounds
from processing.lake.catalog import DEAD_LETTER_TABLE, Lake, LakeTableName
from processing.lake.commit import KEPT_SNAPSHOTS, attempt, expire
from processing.lake.folder import path_of
from processing.lake.rows import ArrowTable
from processing.lake.runs import FULL_ROWS, Run, repeated_runs, small_runs
from processing.transformations.layout import PROGRESS_TABLE

log = structlog.get_logger()

DAY_US: Final = 86_400_000_000
MIN_FILES: Final = 8
SMALL_FILES: Final = 32
"""So many small files of a day are rewritten as one by a running platform."""
GRACE: Final = timedelta(hours=1)
REMOTE_GRACE: Final = timedelta(days=3)
"""Files of a checkpoint wait for their commit for as long as the catalog is down."""
_CARRIED: Final = ("agentflow.", "flink.")


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a merge did to one table. `rows` is how many were rewritten, none lost or added."""

    merges: int = 0
    files_before: int = 0
    rows: int = 0


def compact(
    lake: Lake, name: LakeTableName, *, min_files: int = MIN_FILES, full_rows: int = FULL_ROWS
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


def remove_repeats(lake: Lake, name: LakeTableName, *, full_rows: int = FULL_ROWS) -> int:
    """Take out rows that a second writer stored once more; return how many those were.

    Readers see them once in any case. A table without overlapping files is not read.

    Raises:
        StorageError: Others kept committing, or the disk is full.
    """
    removed = sum(
        attempt(lake, name, partial(_remove, name=name, run=run))
        for run in repeated_runs(lake.fresh(name), full_rows=full_rows)
    )
    if removed:
        log.warning("lake.repeats_removed", table=".".join(name), rows=removed)
    return removed


def maintain(lake: Lake, *, clock: Clock, min_files: int, grace: timedelta) -> None:
    """Do all of this to every table, each by itself: one that fails holds up no other.

    Raises:
        StorageError: Others kept committing, or the lake cannot be reached.
        ExceptionGroup: Several tables failed.
    """
    failures: list[Exception] = []
    for name in lake.all_names():
        try:
            _maintain(lake, name, clock=clock, min_files=min_files, grace=grace)
        except Exception as error:  # noqa: BLE001 - raised below, after the other tables
            error.add_note(f'while maintaining table "{".".join(name)}"')
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup("maintenance of several tables failed", failures)


def _maintain(
    lake: Lake, name: LakeTableName, *, clock: Clock, min_files: int, grace: timedelta
) -> None:
    if name == PROGRESS_TABLE:
        attempt(lake, name, partial(_fold_progress, min_files=min_files))
    elif _holds_log_rows(lake.fresh(name)):
        remove_repeats(lake, name)
        compact(lake, name, min_files=min_files)
    expire_snapshots(lake, name)
    sweep(lake, name, clock=clock, grace=grace)


def _holds_log_rows(table: Table) -> bool:
    """Tell whether the rows are records of the log by day, which is what can be merged.

    The table of batches has no rows; the one of what could not be read has no days.
    """
    return "log_offset" in table.schema().column_names and bool(table.spec().fields)


def _fold_progress(table: Table, *, min_files: int) -> None:
    """Replace all that was said of the job's progress by the furthest of it."""
    if len(list(table.scan().plan_files())) < min_files:
        return
    furthest = pa.Table.from_pylist(
        [ColumnBounds().greatest(table)], schema=table.schema().as_arrow()
    )
    with table.transaction() as transaction:
        transaction.overwrite(furthest, snapshot_properties=_carried(table))
        expire(transaction, table)


def expire_snapshots(lake: Lake, name: LakeTableName) -> None:
    """Forget all but the newest snapshots of a table whose writer does not do that itself.

    Raises:
        StorageError: Others kept committing.
    """

    def once(table: Table) -> None:
        if len(table.metadata.snapshots) > KEPT_SNAPSHOTS:
            with table.transaction() as transaction:
                expire(transaction, table)

    attempt(lake, name, once)


def sweep(lake: Lake, name: LakeTableName, *, clock: Clock, grace: timedelta = GRACE) -> int:
    """Delete the table's files that no kept snapshot refers to; return how many there were.

    Such files are left by expired snapshots, by merges and by commits that were cut off.
    """
    table = lake.fresh(name)
    needed = set(referenced(table))
    cutoff_us = clock.now_us() - grace // MICROSECOND
    deleted = 0
    for location in lake.files.older_than(table.location(), cutoff_us):
        if location not in needed:
            lake.files.delete(location)
            deleted += 1
    if deleted:
        log.info("lake.files_deleted", table=".".join(name), files=deleted)
    return deleted


def _merge(table: Table, *, name: LakeTableName, run: Run) -> int:
    within = _within(name, run)
    scan = table.scan(row_filter=within)
    declared = sum(task.file.record_count for task in scan.plan_files())
    rows = scan.to_arrow()
    if rows.num_rows != declared:
        raise StorageCorruptError(
            f'table "{".".join(name)}" has {counted(rows.num_rows, "row")} on day '
            f"{to_datetime(run.day * DAY_US):%Y-%m-%d}, its files declare {declared}"
        )
    _rewrite(table, _each_once(rows), within)
    return int(rows.num_rows)


def _remove(table: Table, *, name: LakeTableName, run: Run) -> int:
    within = _within(name, run)
    rows = table.scan(row_filter=within).to_arrow()
    once = _each_once(rows)
    if removed := int(rows.num_rows - once.num_rows):
        _rewrite(table, once, within)
    return removed


def _within(name: LakeTableName, run: Run) -> str:
    """Return PyIceberg's text for the rows of a run."""
    column = "received_at" if name == DEAD_LETTER_TABLE else "occurred_at"
    start, end = to_datetime(run.day * DAY_US), to_datetime((run.day + 1) * DAY_US)
    return (
        f"{column} >= '{start.isoformat()}' AND {column} < '{end.isoformat()}'"
        f" AND log_offset >= {run.first} AND log_offset <= {run.last}"
    )


def _each_once(rows: ArrowTable) -> ArrowTable:
    """Return rows by offset, the first of each: an offset is one record of the log.

    A merge needs it too. Repeats within one file could not be told from its bounds any more.
    """
    ordered = rows.sort_by("log_offset")
    offsets = ordered.column("log_offset").combine_chunks()
    same = pc.equal(offsets[1:], offsets[:-1])
    first = pa.array([True] * min(len(offsets), 1))
    return ordered.filter(pa.concat_arrays([first, pc.invert(same)]))


def _rewrite(table: Table, rows: ArrowTable, within: str) -> None:
    with table.transaction() as transaction:
        transaction.overwrite(rows, overwrite_filter=within, snapshot_properties=_carried(table))
        expire(transaction, table)


def _carried(table: Table) -> dict[str, str]:
    """Return what the writer said in the newest snapshot of its own that a merge builds upon.

    Flink looks there as well, for the last checkpoint it committed: what it does not find, it
    commits again.
    """
    for snapshot in ancestors_of(table.current_snapshot(), table.metadata):
        properties = snapshot.summary.additional_properties if snapshot.summary else {}
        if carried := {key: properties[key] for key in properties if key.startswith(_CARRIED)}:
            return carried
    return {}


def referenced(table: Table) -> Iterator[str]:
    """Yield the path of every file that a kept state of the table needs, its former ones too."""
    yield path_of(table, table.metadata_location)
    yield from (path_of(table, entry.metadata_file) for entry in table.metadata.metadata_log)
    manifests: set[str] = set()
    for snapshot in table.metadata.snapshots:
        yield path_of(table, snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in manifests:
                continue
            manifests.add(manifest.manifest_path)
            yield path_of(table, manifest.manifest_path)
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                yield path_of(table, entry.data_file.file_path)
