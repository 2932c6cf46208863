"""Up to which offset each table of the lake is complete, for each way in which it is written.

Iceberg commits one table at a time, so "the lake holds everything before offset N" is never a fact
of one commit. The writer leaves a marker that says it; both kinds of marker are read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Final

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from agentflow.errors import StorageError
from processing.lake.bounds import ColumnBounds
from processing.lake.port import Held, LakeTableName
from processing.lake.positions import Positions
from processing.transformations.layout import (
    BATCH_TABLE,
    DEAD_LETTER_TABLE,
    PROGRESS_TABLE,
    UNREAD_TABLE,
)

VALIDATED: Final = "validated"
DEAD_LETTERS: Final = "dead_letters"


class Recorded:
    """What `LakeWriter` leaves: offsets in the summaries of snapshots, and a table for batches."""

    markers = (BATCH_TABLE,)
    wants_all = False

    def held(self, tables: Mapping[LakeTableName, Table]) -> Held:
        """Return what the summaries say."""
        positions = recorded(tables[BATCH_TABLE])
        until = {
            name: max(positions.of(topic_of(name)), covered(table, topic_of(name)))
            for name, table in tables.items()
            if name != BATCH_TABLE
        }
        return Held(tables, positions, until)

    def behind(self, markers: Mapping[LakeTableName, Table], table: Table) -> None:
        """A batch does not say which tables it has rows in."""
        del markers, table


class Progressed:
    """What the Flink job leaves: a table of how far it came, filled by the job's checkpoints too.

    A row of `agentflow.progress` says, of one moment of the stream: `validated` and `dead_letters`,
    the last offset taken in, and for each table the last offset that went into it. It was sent
    before a checkpoint's barrier, as were all rows it speaks of, but each table commits by itself:
    a table whose own greatest offset is less than a row says has not come to that commit yet. It
    is complete up to what the rows before said.
    """

    markers = (PROGRESS_TABLE,)
    wants_all = True

    def __init__(self) -> None:
        self._bounds = ColumnBounds()
        self._unread: tuple[int | None, dict[str, int]] = (None, {})

    def held(self, tables: Mapping[LakeTableName, Table]) -> Held:
        """Compare the progress with what each table holds."""
        steps = self._bounds.files(tables[PROGRESS_TABLE])
        unread = self._first_unread(tables[UNREAD_TABLE])
        until = {}
        for name, table in tables.items():
            if name not in (PROGRESS_TABLE, BATCH_TABLE):
                complete = _complete(name, self._last(table), steps)
                until[name] = min(complete, unread.get(name[1], complete))
        events = [end for name, end in until.items() if topic_of(name) == VALIDATED]
        positions = Positions(min(events, default=0), until.get(DEAD_LETTER_TABLE, 0))
        return Held(tables, positions, until)

    def behind(self, markers: Mapping[LakeTableName, Table], table: Table) -> bool:
        """Compare what was sent to the table with what it shows."""
        summary_property = self._bounds.greatest(markers[PROGRESS_TABLE])
        return self._last(table) < summary_property.get(sent_to(_name(table)), -1)

    def _last(self, table: Table) -> int:
        return self._bounds.greatest(table).get("log_offset", -1)

    def _first_unread(self, table: Table) -> dict[str, int]:
        """Return, for each table, the first of its records that the job could not read."""
        snapshot = table.current_snapshot()
        if snapshot is None:
            return {}
        if self._unread[0] != snapshot.snapshot_id:
            first: dict[str, int] = {}
            for row in table.scan(selected_fields=("table", "log_offset")).to_arrow().to_pylist():
                name, offset = str(row["table"]), int(row["log_offset"])
                first[name] = min(offset, first.get(name, offset))
            self._unread = (snapshot.snapshot_id, first)
        return self._unread[1]


def _complete(name: LakeTableName, last: int, steps: Sequence[Mapping[str, int]]) -> int:
    """Return up to where a table is complete that holds all rows sent to it up to *last*.

    Steps are files of the progress table, one for each checkpoint. What the newest of them says may
    not have come to the table yet; what an older one says stays true.
    """
    taken, sent = taken_from(topic_of(name)), sent_to(name)
    end = last + 1
    for step in sorted((each for each in steps if taken in each), key=itemgetter(taken)):
        if step.get(sent, -1) > last:
            break
        end = max(end, step[taken] + 1)
    return end


def sent_to(name: LakeTableName) -> str:
    """Return the column of the progress table with the last offset that went into a table."""
    return name[1] if name[0] != DEAD_LETTER_TABLE[0] else f"{name[1]}_rows"


def taken_from(topic: str) -> str:
    """Return the column of the progress table with the last offset taken in from a topic."""
    return topic


def topic_of(name: LakeTableName) -> str:
    """Return the topic whose records go into a table."""
    return DEAD_LETTERS if name == DEAD_LETTER_TABLE else VALIDATED


def covered(table: Table, topic: str) -> int:
    """Return the offset before which the table says to hold everything of *topic*.

    Snapshots of other tools (a deletion for privacy, say) do not say; their ancestors do.

    Raises:
        StorageError: No snapshot that is left says so.
    """
    key = f"agentflow.{topic}.to"
    current = table.current_snapshot()
    if current is None:
        return 0
    for snapshot in ancestors_of(current, table.metadata):
        if (value := summary_property(snapshot, key)) is not None:
            return int(value)
    raise StorageError(
        f'table "{".".join(table.name())}" does not say which offsets it covers',
        hint="Another tool rewrote it and expired the snapshots that said so: rebuild the lake.",
    )


def recorded(table: Table) -> Positions:
    """Return what the batch table says every table covers."""
    return Positions(covered(table, VALIDATED), covered(table, DEAD_LETTERS))


def summary_property(snapshot: Snapshot, key: str) -> str | None:
    """Return a property of a snapshot's summary."""
    return None if snapshot.summary is None else snapshot.summary.additional_properties.get(key)


def _name(table: Table) -> LakeTableName:
    *_, namespace, name = table.name()
    return (namespace, name)
