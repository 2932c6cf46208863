"""Which files of a table are worth merging: neighbours in log order that are small.

A merge holds its rows in memory. Were a whole day merged each time, that memory would grow with the
day, and every event be written again as often as maintenance comes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.types import LongType

FULL_ROWS: Final = 100_000
"""A file of so many rows is left alone."""


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring files of one day: all rows whose log offsets lie between two, inclusive."""

    day: int
    first: int
    last: int
    files: int


class _File(NamedTuple):
    first: int
    last: int
    rows: int


def small_runs(table: Table, *, min_files: int, full_rows: int = FULL_ROWS) -> list[Run]:
    """Return what to merge, by day and log order: at least *min_files* files each.

    No run has many more than *full_rows* rows.
    """
    days: dict[int, list[_File]] = defaultdict(list)
    field = table.schema().find_field("log_offset").field_id
    for task in table.scan().plan_files():
        days[task.file.partition[0]].append(_file(task.file, field))
    return [
        Run(day, part[0].first, part[-1].last, len(part))
        for day, files in sorted(days.items())
        for part in _runs(sorted(files), full_rows)
        if len(part) >= min_files
    ]


def _runs(files: Sequence[_File], full_rows: int) -> Iterator[list[_File]]:
    run: list[_File] = []
    for file in files:
        if file.rows >= full_rows or sum(one.rows for one in run) >= full_rows:
            yield run
            run = []
        if file.rows < full_rows:
            run.append(file)
    yield run


def _file(file: DataFile, field: int) -> _File:
    """Return what a file's own statistics say; the writer always adds them."""
    first, last = (
        int(from_bytes(LongType(), bounds[field]))
        for bounds in (file.lower_bounds, file.upper_bounds)
    )
    return _File(first, last, file.record_count)
