"""One commit to one table: rows of a stretch of the log that are in it once, whatever happens.

The offsets a table covers stand in the summary of the snapshot that brought the rows, so rows and
offsets become visible together. Before each attempt they are read again; a conflict, a reply that
was lost or a second writer can therefore make an attempt needless, never doubled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import pyarrow.compute as pc
from pyiceberg.table import Table, Transaction
from pyiceberg.table.update.snapshot import ExpireSnapshots

from processing.lake.attempts import attempted
from processing.lake.catalog import BATCH_TABLE, Lake, LakeTableName
from processing.lake.coverage import covered, recorded
from processing.lake.positions import Positions
from processing.lake.rows import ArrowTable

KEPT_SNAPSHOTS: Final = 16
"""A commit rewrites the list of all snapshots: 15 ms with few, 147 ms with 100 (ADR 0006)."""

_T = TypeVar("_T")
LOG_ID: Final = "agentflow.log_id"


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """A stretch `[start, stop)` of one topic of one log."""

    topic: str
    start: int
    stop: int
    log_id: str

    def summary(self) -> dict[str, str]:
        """Return what a snapshot says about itself."""
        return {
            LOG_ID: self.log_id,
            f"agentflow.{self.topic}.from": str(self.start),
            f"agentflow.{self.topic}.to": str(self.stop),
        }


def append(lake: Lake, name: LakeTableName, rows: ArrowTable, span: OffsetRange) -> int:
    """Make *rows*, all that *span* holds for the table, part of it; return how many were added.

    *rows* are ordered by `log_offset`. Offsets before `span.start` must be covered already.

    Raises:
        StorageFullError: The disk is full; nothing was added.
        StorageError: The commit failed for another reason, or others kept winning.
    """
    return attempt(lake, name, lambda table: _append_once(table, rows, span))


def record_batch(lake: Lake, positions: Positions, log_id: str) -> Positions:
    """Say that every table covers *positions*; return what is covered, which may be more.

    Raises:
        StorageFullError: The disk is full.
        StorageError: The commit failed for another reason, or others kept winning.
    """
    return attempt(lake, BATCH_TABLE, lambda table: _record_once(table, positions, log_id))


def _append_once(table: Table, rows: ArrowTable, span: OffsetRange) -> int:
    held = covered(table, span.topic)
    if held >= span.stop:
        return 0
    missing = rows
    if held > span.start:
        missing = rows.filter(pc.field("log_offset") >= held)
    if missing.num_rows == 0:
        return 0
    with table.transaction() as transaction:
        transaction.append(missing, snapshot_properties=span.summary())
        expire(transaction, table)
    return int(missing.num_rows)


def _record_once(table: Table, positions: Positions, log_id: str) -> Positions:
    held = recorded(table)
    joined = held.joined(positions)
    if joined == held:
        return held
    summary = {
        **OffsetRange("validated", held.validated, joined.validated, log_id).summary(),
        **OffsetRange("dead_letters", held.dead_letters, joined.dead_letters, log_id).summary(),
    }
    with table.transaction() as transaction:
        with transaction.update_snapshot(snapshot_properties=summary).fast_append():
            pass  # a snapshot without files: its summary is what counts
        expire(transaction, table)
    return joined


def expire(transaction: Transaction, table: Table) -> None:
    """Forget the oldest snapshots in the same commit; their rows stay in the newer ones."""
    snapshots = sorted(table.metadata.snapshots, key=lambda each: each.sequence_number or 0)
    if excess := snapshots[: max(0, len(snapshots) - KEPT_SNAPSHOTS + 1)]:
        with ExpireSnapshots(transaction) as expiry:
            expiry.by_ids([each.snapshot_id for each in excess])


def attempt(lake: Lake, name: LakeTableName, once: Callable[[Table], _T]) -> _T:
    """Run *once* on a table of the lake; see `attempted`.

    Raises:
        StorageFullError: The disk is full.
        StorageError: The commit failed for another reason, or others kept winning.
    """
    return attempted(lambda: lake.fresh(name), name, once)
