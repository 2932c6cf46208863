"""Read the lake: files for queries, events in log order for rebuilding state."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush
from itertools import takewhile
from threading import Lock
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes
from pyiceberg.table import ALWAYS_TRUE, Table
from pyiceberg.types import LongType

from agentflow.clock import from_datetime, to_datetime
from agentflow.errors import StorageCorruptError, StorageError
from agentflow.events import EventRef
from processing.lake.catalog import DEAD_LETTER_TABLE, Lake, reading
from processing.lake.coverage import topic_of
from processing.lake.folder import path_of
from processing.lake.port import Held, LakeTableName
from processing.lake.positions import Positions
from processing.lake.rows import StoredEvent, events_of
from quality import Gate

_ROWS_AT_ONCE: Final = 512
_KEPT_PLANS: Final = 256
_COPIES_AT_ONCE: Final = 8
_EARLIEST_US: Final = from_datetime(datetime.min.replace(tzinfo=UTC))
_LATEST_US: Final = from_datetime(datetime.max.replace(tzinfo=UTC))
"""Years 1 to 9999: what an event can say. A bound beyond them leaves nothing out."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file of one table and one day, and the offsets of its rows, ordered by them."""

    path: str
    first_offset: int
    last_offset: int
    rows: int
    size_bytes: int
    day: int | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """What one table holds at an instant.

    Attributes:
        files: They may hold rows that were asked for; no others do.
        until: Everything of the topic before this offset that belongs in the table is in it.
        complete: The same for every table of the lake, which may be less during a batch.
        version: Changes when the content does.
        field_ids: Iceberg field id of each column.
    """

    files: tuple[DataFile, ...]
    until: int
    complete: int
    version: tuple[str, int | None]
    field_ids: Mapping[str, int]

    @property
    def repeated(self) -> bool:
        """Whether a row may be there twice: one writer's files of a day follow one another."""
        return overlapping(self.files)


@dataclass(frozen=True, slots=True)
class Located:
    """Where the lake holds one event: table, its current snapshot, and the file."""

    table: str
    snapshot_id: int
    file: str


class LakeReader:
    """Reads what is committed at the time of each call. Safe to share by threads."""

    def __init__(self, lake: Lake, gate: Gate) -> None:
        self._lake = lake
        self._gate = gate
        self._lock = Lock()
        self._plans: dict[tuple[object, ...], tuple[DataFile, ...]] = {}

    @property
    def lake(self) -> Lake:
        """The lake this reads."""
        return self._lake

    def positions(self) -> Positions:
        """Return what every table of the lake covers."""
        return self._lake.held().positions

    def slices(
        self,
        refs: Iterable[EventRef],
        *,
        start_us: int | None = None,
        end_us: int | None = None,
        timed: Container[EventRef] | None = None,
    ) -> Mapping[EventRef, Slice]:
        """Return what the tables of *refs* hold of a range of event time, all at one instant.

        Args:
            refs: The event versions.
            start_us: Inclusive.
            end_us: Exclusive.
            timed: Those to which the range applies; all of them unless told otherwise.
        """
        names = {ref: self._lake.name(ref) for ref in refs}
        held = self._lake.held(names.values())
        between = _between("occurred_at", start_us, end_us)
        return {
            ref: self._slice(held, name, between if timed is None or ref in timed else "")
            for ref, name in names.items()
        }

    def dead_letters(self, *, start_us: int | None = None, end_us: int | None = None) -> Slice:
        """Return what the table of dead letters holds of a range of arrival."""
        held = self._lake.held([DEAD_LETTER_TABLE])
        return self._slice(held, DEAD_LETTER_TABLE, _between("received_at", start_us, end_us))

    def files(
        self, ref: EventRef, *, start_us: int | None = None, end_us: int | None = None
    ) -> Sequence[str]:
        """Return the Parquet files that may hold events of the range, by path."""
        found = self.slices([ref], start_us=start_us, end_us=end_us)[ref]
        return [file.path for file in found.files]

    def events(
        self, ref: EventRef, *, from_offset: int = 0, up_to: int | None = None
    ) -> Iterator[StoredEvent]:
        """Yield the events of one type in log order; see `all_events`."""
        return self._merged([ref], from_offset, up_to)

    def all_events(
        self, *, from_offset: int = 0, up_to: int | None = None
    ) -> Iterator[StoredEvent]:
        """Yield the events of all types in log order, from *from_offset* up to but not *up_to*.

        Without *up_to* it ends at what every table covers now: with `positions().validated`, taken
        before, there is neither gap nor overlap between this and reading the log on from there.
        Streams: memory is bounded by the files whose offsets overlap, not by the lake.
        """
        return self._merged(list(self._lake.layouts), from_offset, up_to)

    def surviving(self, unread: Callable[[DataFile, StorageError], None]) -> Iterator[StoredEvent]:
        """Yield every event that can be read, in log order, those of unfinished batches included.

        For a log that lost events: *unread* is told of files that cannot be read (to their end).
        """

        def rows(ref: EventRef, file: DataFile) -> Iterator[StoredEvent]:
            try:
                yield from self._rows(ref, file, 0)
            except StorageError as error:
                unread(file, error)

        names = {ref: self._lake.name(ref) for ref in self._lake.layouts}
        tables = self._lake.tables(names.values())
        files = [(ref, file) for ref, name in names.items() for file in planned(tables[name], "")]
        return _in_log_order(files, rows)

    def locate(self, ref: EventRef, offset: int) -> Located | None:
        """Return the file that holds the event at *offset*, or None while the lake lacks it."""
        name = self._lake.name(ref)
        table = self._lake.tables([name])[name]
        snapshot = table.current_snapshot()
        if snapshot is None:
            return None
        for file in planned(table, f"log_offset = {offset}"):
            path = self._lake.files.local(file.path)
            rows = pq.read_table(
                path, columns=["log_offset"], filters=[("log_offset", "=", offset)]
            )
            if rows.num_rows:
                return Located(".".join(table.name()), snapshot.snapshot_id, file.path)
        return None

    def _slice(self, held: Held, name: LakeTableName, row_filter: str) -> Slice:
        table = held.tables[name]
        snapshot = table.current_snapshot()
        version = (".".join(table.name()), snapshot.snapshot_id if snapshot else None)
        key = (*version, row_filter)
        with self._lock:
            files = self._plans.get(key)
        if files is None:
            files = planned(table, row_filter)
            with self._lock:
                if len(self._plans) >= _KEPT_PLANS:
                    self._plans.pop(next(iter(self._plans)))
                self._plans[key] = files
        field_ids = {field.name: field.field_id for field in table.schema().fields}
        complete = held.positions.of(topic_of(name))
        return Slice(self._here(files), held.until[name], complete, version, field_ids)

    def _here(self, files: tuple[DataFile, ...]) -> tuple[DataFile, ...]:
        """Return files with the paths at which they can be read; missing copies are made."""
        local = self._lake.files.local
        if all("://" not in file.path for file in files):
            return files
        with ThreadPoolExecutor(_COPIES_AT_ONCE) as copies:
            paths = list(copies.map(local, (file.path for file in files)))
        return tuple(replace(file, path=path) for file, path in zip(files, paths, strict=True))

    def _merged(
        self, refs: Sequence[EventRef], from_offset: int, up_to: int | None
    ) -> Iterator[StoredEvent]:
        names = {ref: self._lake.name(ref) for ref in refs}
        held = self._lake.held(names.values())
        complete = held.positions.validated
        until = complete if up_to is None else min(up_to, complete)
        files = [
            (ref, file)
            for ref, name in names.items()
            for file in planned(held.tables[name], f"log_offset >= {from_offset}")
        ]
        merged = _in_log_order(files, lambda ref, file: self._rows(ref, file, from_offset))
        return takewhile(lambda stored: stored.offset < until, merged)

    def _rows(self, ref: EventRef, file: DataFile, from_offset: int) -> Iterator[StoredEvent]:
        data_type = self._gate.data_type(ref)
        try:
            with pq.ParquetFile(self._lake.files.local(file.path)) as parquet:
                for batch in parquet.iter_batches(_ROWS_AT_ONCE):
                    for stored in events_of(batch, ref=ref, data_type=data_type):
                        if stored.offset >= from_offset:
                            yield stored
        except (OSError, pa.ArrowException, ValueError, OverflowError) as error:
            raise StorageCorruptError(
                f'lake file "{file.path}" cannot be read',
                hint="Restart: its table is moved aside and written again from the log.",
            ) from error


def _in_log_order(
    files: Iterable[tuple[EventRef, DataFile]],
    rows_of_file: Callable[[EventRef, DataFile], Iterator[StoredEvent]],
) -> Iterator[StoredEvent]:
    """Merge files by offset; each is opened when the merge comes to its first row.

    An offset is one record of the log: a row that two writers stored is yielded once.
    """
    last = -1
    heap: list[
        tuple[int, int, EventRef, DataFile, Iterator[StoredEvent] | None, StoredEvent | None]
    ] = [
        (file.first_offset, number, ref, file, None, None)
        for number, (ref, file) in enumerate(files)
    ]
    heapify(heap)
    while heap:
        _, number, ref, file, rows, stored = heappop(heap)
        if stored is not None and stored.offset != last:
            last = stored.offset
            yield stored
        if rows is None:
            rows = rows_of_file(ref, file)
        if (following := next(rows, None)) is not None:
            heappush(heap, (following.offset, number, ref, file, rows, following))


def planned(table: Table, row_filter: str) -> tuple[DataFile, ...]:
    """Return the files of a table that may hold matching rows, by their first offset.

    Raises:
        StorageError: Its lists of files cannot be read.
    """
    offset_id = table.schema().find_field("log_offset").field_id
    files = []
    with reading():
        tasks = list(table.scan(row_filter=row_filter or ALWAYS_TRUE).plan_files())
    for task in tasks:
        file = task.file
        files.append(
            DataFile(
                path=path_of(table, file.file_path),
                first_offset=int(from_bytes(LongType(), file.lower_bounds[offset_id])),
                last_offset=int(from_bytes(LongType(), file.upper_bounds[offset_id])),
                rows=file.record_count,
                size_bytes=file.file_size_in_bytes,
                day=file.partition[0] if len(file.partition) else None,
            )
        )
    return tuple(sorted(files, key=lambda each: (each.first_offset, each.path)))


def overlapping(files: Iterable[DataFile]) -> bool:
    """Tell whether offsets of two files of a day overlap, as those of two writers do."""
    ends: dict[int | None, int] = {}
    for file in files:  # by their first offset
        if file.first_offset <= ends.get(file.day, -1):
            return True
        ends[file.day] = file.last_offset
    return False


def _between(column: str, start_us: int | None, end_us: int | None) -> str:
    """Return PyIceberg's text for `[start, end)`; empty when there is no bound."""
    bounds = [(">=", start_us), ("<", end_us)]
    return " AND ".join(
        f"{column} {operator} '{to_datetime(instant).isoformat()}'"
        for operator, instant in bounds
        if instant is not None and _EARLIEST_US <= instant <= _LATEST_US
    )
