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
    return [
        Run(day, part[0].first, max(file.last for file in part), len(part))
        for day, files in _by_day(table).items()
        for part in _runs(files, full_rows)
        if len(part) >= min_files
    ]


def repeated_runs(table: Table, *, full_rows: int = FULL_ROWS) -> list[Run]:
    """Return where files of a day overlap in log order, which those of one writer never do.

    Runs are cut at about *full_rows* rows, perhaps within a file.
    """
    return [
        run
        for day, files in _by_day(table).items()
        for group in _overlapping(files)
        for run in _cut(day, group, full_rows)
    ]


def _by_day(table: Table) -> dict[int, list[_File]]:
    """Return the table's files by day, each day's in log order."""
    days: dict[int, list[_File]] = defaultdict(list)
    field = table.schema().find_field("log_offset").field_id
    for task in table.scan().plan_files():
        days[task.file.partition[0]].append(_file(task.file, field))
    return {day: sorted(files) for day, files in sorted(days.items())}


def _overlapping(files: Sequence[_File]) -> Iterator[list[_File]]:
    group: list[_File] = []
    end = -1
    for file in files:
        if file.first > end:
            if len(group) > 1:
                yield group
            group = []
        group.append(file)
        end = max(end, file.last)
    if len(group) > 1:
        yield group


def _cut(day: int, group: Sequence[_File], full_rows: int) -> Iterator[Run]:
    start, rows, files = group[0].first, 0, 0
    for file in group:
        if rows >= full_rows and file.first > start:
            yield Run(day, start, file.first - 1, files)
            start, rows, files = file.first, 0, 0
        rows, files = rows + file.rows, files + 1
    yield Run(day, start, max(file.last for file in group), files)


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
