"""Which records, tables and files hold an event, and what the lake has for a contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentflow.events import EventRef
from ingestion.log.port import RAW, CommitLog
from processing.lake import LakeReader, LakeSync
from processing.lake.reader import Located, planned


@dataclass(frozen=True, slots=True)
class TableSource:
    """What the lake's table of one event type holds.

    Attributes:
        name: Of the table, as catalogs write it.
        snapshot_id: Its current Iceberg snapshot; None of an empty table.
    """

    name: str
    snapshot_id: int | None
    rows: int
    files: int


class Lineage:
    """Traces events and metrics to what is stored of them. Any thread; every method reads files."""

    def __init__(self, log: CommitLog, reader: LakeReader, lake: LakeSync) -> None:
        self._log = log
        self._reader = reader
        self._lake = lake

    @property
    def lake_offset(self) -> int:
        """The offset before which the lake holds every accepted event; reads no file."""
        return self._lake.covered.validated

    def has_raw(self, offset: int) -> bool:
        """Tell whether the log holds the raw record at *offset*."""
        return bool(self._log.read_offsets(RAW, [offset]))

    def locate(self, ref: EventRef, offset: int) -> Located | None:
        """Return where the lake holds an accepted event; None while it does not."""
        return self._reader.locate(ref, offset)

    def snapshots(self, refs: Iterable[EventRef]) -> Mapping[str, int]:
        """Return the current snapshot of each table that has one, by the table's name."""
        lake = self._reader.lake
        found = {}
        for name, table in lake.tables([lake.name(ref) for ref in refs]).items():
            snapshot = table.current_snapshot()
            if snapshot is not None:
                found[".".join(name)] = snapshot.snapshot_id
        return found

    def tables(self, refs: Iterable[EventRef]) -> Mapping[EventRef, TableSource]:
        """Return what the lake holds of each event type."""
        lake = self._reader.lake
        names = {ref: lake.name(ref) for ref in refs}
        tables = lake.tables(names.values())
        found = {}
        for ref, name in names.items():
            snapshot, files = tables[name].current_snapshot(), planned(tables[name], "")
            found[ref] = TableSource(
                name=".".join(name),
                snapshot_id=None if snapshot is None else snapshot.snapshot_id,
                rows=sum(file.rows for file in files),
                files=len(files),
            )
        return found
