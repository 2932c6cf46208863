"""The end of the log that the lake does not hold yet, as Arrow tables, each event decoded once."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from agentflow.events import EventRef
from ingestion.log.port import VALIDATED, LogSource, Record
from processing.lake.catalog import Lake
from processing.lake.rows import ArrowTable, StoredEvent, rows_of
from quality import Gate

_READ_AT_ONCE: Final = 5_000
_MERGE_CHUNKS: Final = 64


class Tail:
    """Records of `validated` from what the lake covers on. Safe to share by threads.

    A query that follows another reads only what was appended in between. Events of types that
    are not asked for stay undecoded.
    """

    def __init__(self, log: LogSource, *, lake: Lake, gate: Gate) -> None:
        self._log = log
        self._lake = lake
        self._gate = gate
        self._lock = Lock()
        self._start = 0
        self._stop = 0
        self._pending: dict[EventRef, list[Record]] = {}
        self._rows: dict[EventRef, ArrowTable] = {}

    def read(self, starts: Mapping[EventRef, int], *, low: int) -> dict[EventRef, ArrowTable]:
        """Return rows of each type at or after its start; nothing below *low* is kept.

        Args:
            starts: Where the tail of each type begins: before that, its table has everything.
            low: What every table covers; at most the least of *starts*.
        """
        with self._lock:
            self._forget(low)
            self._extend(low)
            return {ref: self._since(ref, start) for ref, start in starts.items()}

    def _forget(self, low: int) -> None:
        if low <= self._start:
            return
        for ref, rows in self._rows.items():
            self._rows[ref] = rows.filter(pc.field("log_offset") >= low).combine_chunks()
        for ref, records in self._pending.items():
            self._pending[ref] = [record for record in records if record.offset >= low]
        self._start = low

    def _extend(self, low: int) -> None:
        if low < self._start:  # the query began before another one that saw more of the lake
            self._pending.clear()
            self._rows.clear()
            self._start, self._stop = low, low
        self._stop = max(self._stop, low)
        while records := self._log.read(VALIDATED, start=self._stop, limit=_READ_AT_ONCE):
            for record in records:
                ref = EventRef(record.headers["type"], int(record.headers["version"]))
                self._pending.setdefault(ref, []).append(record)
            self._stop = records[-1].offset + 1

    def _since(self, ref: EventRef, start: int) -> ArrowTable:
        rows = self._decoded(ref)
        return rows if start <= self._start else rows.filter(pc.field("log_offset") >= start)

    def _decoded(self, ref: EventRef) -> ArrowTable:
        rows = self._rows.get(ref)
        pending = self._pending.pop(ref, None)
        if rows is None or pending:
            decode = self._gate.decode
            stored = [StoredEvent(each.offset, decode(ref, each.value)) for each in pending or ()]
            fresh = rows_of(self._lake.layouts[ref], stored)
            rows = fresh if rows is None else pa.concat_tables([rows, fresh])
            if rows.column(0).num_chunks > _MERGE_CHUNKS:
                rows = rows.combine_chunks()
            self._rows[ref] = rows
        return rows
