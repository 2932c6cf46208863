"""Put back into the log what it lost and the lake holds, at the offsets it had.

Duplicates are then recognized, corrections find what they correct and timelines are whole, as if
nothing had been lost; only the raw bytes are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import Protocol

import msgspec
import pyarrow.parquet as pq

from agentflow.clock import from_datetime
from agentflow.contracts import Registry
from agentflow.errors import StorageError
from agentflow.events import Event, identity_key
from ingestion.log.port import DEAD_LETTERS, RAW, VALIDATED, NewRecord
from ingestion.log.refill import REFILL, OffsetRecord
from ingestion.log.salvage import floor_behind
from processing.lake import LakeReader, Positions
from processing.lake.catalog import DEAD_LETTER_TABLE
from processing.lake.reader import DataFile, planned
from processing.transformations import DeadLetter, Linker
from processing.transformations.dead_letter import identity_of
from quality import Gate, attribute_of

_PUT_AT_ONCE = 5_000
_LETTER_HEADERS = ("tenant", "reason", "type", "event_id")


class RefillableLog(Protocol):
    """What a log must offer to be given back what it lost."""

    def end(self, topic: str) -> int:
        """Return the offset the topic's next record will be given."""
        ...

    def position(self, consumer: str, topic: str) -> int:
        """Return the position a consumer stored."""
        ...

    def store_position(self, consumer: str, topic: str, offset: int) -> None:
        """Store a position."""
        ...

    def refill(self, topic: str, placed: Sequence[OffsetRecord]) -> int:
        """Store records at the offsets they had."""
        ...

    def remember(self, identities: Iterable[tuple[bytes, int]]) -> None:
        """Make known (identity, first offset) pairs."""
        ...

    def skip_to(self, floors: Mapping[str, int]) -> None:
        """Let topics go on at these offsets."""
        ...


@dataclass(frozen=True, slots=True)
class Refilled:
    """What was put back.

    Attributes:
        unread: Files of the lake whose events could not be.
    """

    events: int
    dead_letters: int
    unread: tuple[str, ...]


def held_by(reader: LakeReader) -> Positions:
    """Return the offsets behind everything any table of the lake holds, finished batch or not."""
    lake = reader.lake
    names = [lake.name(ref) for ref in lake.layouts]
    held = lake.held([*names, DEAD_LETTER_TABLE])
    ends = [held.until[name] for name in names]
    letters = held.until[DEAD_LETTER_TABLE]
    return held.positions.joined(Positions(max(ends, default=0), letters))


def lacking(log: RefillableLog, held: Positions) -> bool:
    """Tell whether the log lost something: it says so itself, or ends before the lake does."""
    ends = Positions(log.end(VALIDATED), log.end(DEAD_LETTERS))
    return bool(log.position(REFILL, VALIDATED)) or not ends.reaches(held)


def refill(log: RefillableLog, reader: LakeReader, registry: Registry, gate: Gate) -> Refilled:
    """Give *log* what the lake holds and it lacks. Cut off, it is finished at the next start.

    The topics go on far behind: an offset that was given to an event that is lost for good is
    never given to another.

    Raises:
        StorageError: The log cannot be written.
    """
    log.store_position(REFILL, VALIDATED, 1)
    unread: list[str] = []

    def cannot_read(file: DataFile, error: StorageError) -> None:
        unread.append(f"{file.path}: {error.__cause__ or error}")

    record = RecordMaker(registry, gate).record
    placed = (record(item.offset, item.event) for item in reader.surviving(cannot_read))
    events = _put(log, VALIDATED, placed)
    letters = _put(log, DEAD_LETTERS, _letters(reader, cannot_read))
    held = held_by(reader)
    floor = floor_behind(max(held.validated, held.dead_letters))
    log.skip_to(dict.fromkeys((RAW, VALIDATED, DEAD_LETTERS), floor))
    log.store_position(REFILL, VALIDATED, 0)
    return Refilled(events, letters, tuple(unread))


def refill_covered(
    log: RefillableLog, reader: LakeReader, registry: Registry, gate: Gate
) -> tuple[Refilled, Positions]:
    """Give an empty replica what the lake covers, and return what that is: the rest is elsewhere.

    Offsets are those of the log that is followed, which goes on giving them: nothing is skipped.
    Until its caller says otherwise, the replica counts as unfinished (`REFILL`).

    Raises:
        StorageError: The replica cannot be written, or a file of the lake cannot be read.
    """
    log.store_position(REFILL, VALIDATED, 1)
    held = reader.positions()
    record = RecordMaker(registry, gate).record
    stored = reader.all_events(up_to=held.validated)
    events = _put(log, VALIDATED, (record(item.offset, item.event) for item in stored))

    letters = (item for item in letters_of(reader) if item.offset < held.dead_letters)
    return Refilled(events, _put(log, DEAD_LETTERS, letters), ()), held


def letters_of(reader: LakeReader) -> Iterator[OffsetRecord]:
    """Yield the dead letters of the lake, a file after another.

    Raises:
        StorageError: A file cannot be read.
    """

    def cannot_read(_: DataFile, error: StorageError) -> None:
        raise error

    return _letters(reader, cannot_read)


class RecordMaker:
    """Turns an event of the lake into the record it was in the log."""

    def __init__(self, registry: Registry, gate: Gate) -> None:
        self._registry = registry
        self._encode = gate.encode
        self._links = Linker(registry).links

    def record(self, offset: int, event: Event) -> OffsetRecord:
        """Return the record of *event*; it has no raw offset, because the raw bytes are gone."""
        headers = {
            "type": event.type,
            "version": str(event.version),
            "tenant": event.tenant,
            "occurred_us": str(event.occurred_us),
        }
        record = NewRecord(self._key(event), self._encode(event), headers, event.ingested_us)
        identity = identity_key(event.tenant, event.source, event.id)
        return OffsetRecord(offset, record, identity, self._links(event))

    def _key(self, event: Event) -> bytes | None:
        name = self._registry.events[event.ref].key
        value = None if name is None else getattr(event.data, attribute_of(name))
        return None if value is None else str(value).encode()


def _letters(
    reader: LakeReader, unread: Callable[[DataFile, StorageError], None]
) -> Iterator[OffsetRecord]:
    table = reader.lake.table(DEAD_LETTER_TABLE)
    for file in planned(table, ""):
        try:
            with pq.ParquetFile(reader.lake.files.local(file.path)) as parquet:
                rows = parquet.read().to_pylist()
        except (OSError, ValueError) as error:
            failure = StorageError(f'lake file "{file.path}" cannot be read')
            failure.__cause__ = error
            unread(file, failure)
            continue
        yield from map(_letter, rows)


def _letter(row: Mapping[str, object]) -> OffsetRecord:
    offset, received_at = row["log_offset"], row["received_at"]
    assert isinstance(offset, int) and isinstance(received_at, datetime)  # noqa: S101, PT018 - the schema
    headers = {name: str(row[name]) for name in _LETTER_HEADERS if row[name] is not None}
    detail = str(row["detail"]).encode()
    return OffsetRecord(offset, NewRecord(None, detail, headers, from_datetime(received_at)))


def _refused(letters: Sequence[OffsetRecord]) -> Iterator[tuple[bytes, int]]:
    """Yield by what an event that was refused before is known again."""
    for item in letters:
        with suppress(msgspec.MsgspecError):
            identity = identity_of(msgspec.json.decode(item.record.value, type=DeadLetter))
            if identity is not None:
                yield identity, item.offset


def _put(log: RefillableLog, topic: str, placed: Iterator[OffsetRecord]) -> int:
    total = 0
    while batch := list(islice(placed, _PUT_AT_ONCE)):
        ordered = sorted(batch, key=attrgetter("offset"))
        total += log.refill(topic, ordered)
        if topic == DEAD_LETTERS:
            log.remember(_refused(ordered))
    return total
