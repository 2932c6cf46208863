"""From the log to the lake, each event exactly once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from agentflow.contracts import Registry
from agentflow.errors import StorageCorruptError, StorageError
from agentflow.events import EventRef
from agentflow.wording import counted
from ingestion.log.port import DEAD_LETTERS, VALIDATED, LogSource, Record
from processing.lake.catalog import BATCH_TABLE, DEAD_LETTER_TABLE, Lake
from processing.lake.commit import OffsetRange, append, record_batch
from processing.lake.coverage import recorded
from processing.lake.positions import Positions
from processing.lake.rows import StoredEvent, dead_letter_rows, rows_of
from quality import Gate

log = structlog.get_logger()

_READ_AT_ONCE: Final = 500
"""Records decoded before the thread offers the interpreter to others; about 2 ms."""


class LakeWriter:
    """Copies the log's accepted events and dead letters to the lake in batches.

    A batch is one commit per table that has rows in it, then one that says all of it is there.
    A batch that was cut off is written again: each table skips what it has.

    Delivery: exactly once, across kill -9, lost replies and a second writer. Thread-safety: one
    thread at a time; `LakeThread` is that thread in the platform.
    """

    def __init__(
        self,
        lake: Lake,
        log: LogSource,
        gate: Gate,
        *,
        batch_events: int = 20_000,
        shared: bool = False,
    ) -> None:
        """Recover the covered positions from the snapshot summaries.

        Args:
            lake: What is written.
            log: What is read.
            gate: Decodes its records.
            batch_events: Most records of a topic in one batch.
            shared: Whether others may write to the log's topics: a record that makes no sense is
                passed over then, and counted; in a log of our own it is a fault.

        Raises:
            StorageError: The lake is ahead of the log, as it is after the log was lost: new events
                would be given offsets the lake believes to hold.
        """
        self._lake = lake
        self._log = log
        self._gate = gate
        self._batch_events = batch_events
        self._shared = shared
        self.unreadable = 0
        self._covered = recorded(lake.table(BATCH_TABLE))
        ends = Positions(log.end(VALIDATED), log.end(DEAD_LETTERS))
        if not ends.reaches(self._covered):
            raise StorageError(
                f"the lake covers {_said(self._covered)}, the log ends at {_said(ends)}",
                hint="The log lost what it held, or is another one. Restore its files, or start "
                "over with another log and another lake; this lake is kept.",
            )

    def adopt(self, registry: Registry, gate: Gate) -> None:
        """Write by other contracts from now on; call it between writes.

        Raises:
            ContractError: A contract cannot be stored beside what the lake holds.
        """
        self._lake.adopt(registry)
        self._gate = gate

    @property
    def covered(self) -> Positions:
        """What the lake holds, as of the last commit of this writer. Any thread."""
        return self._covered

    def write_up_to(self, goal: Positions) -> Positions:
        """Write until *goal* is covered, in batches; return what is covered then.

        Raises:
            StorageFullError: The disk is full; calling again later goes on without loss.
            StorageError: A commit failed for another reason; calling again is safe.
            UnknownContractError: An event's contract is gone; its events need it to be read.
        """
        while not self._covered.reaches(goal):
            before = self._covered
            self._write_batch(goal)
            if self._covered == before:
                raise StorageError(f"the log ends before {goal}, where it was said to have come")
        return self._covered

    def _write_batch(self, goal: Positions) -> None:
        covered = self._covered
        validated = self._read(VALIDATED, covered.validated, goal.validated)
        refused = self._read(DEAD_LETTERS, covered.dead_letters, goal.dead_letters)
        self._write_events(validated.records, validated.span)
        if letters := [record for record in refused.records if self._is_letter(record)]:
            append(self._lake, DEAD_LETTER_TABLE, dead_letter_rows(letters), refused.span)
        reached = Positions(validated.span.stop, refused.span.stop)
        self._covered = record_batch(self._lake, reached, self._log.log_id)

    def _read(self, topic: str, start: int, goal: int) -> _Read:
        """Read a batch from *start*; offsets that were never given are covered at once."""
        log_id = self._log.log_id
        if start >= goal:
            return _Read((), OffsetRange(topic, start, start, log_id))
        end = self._log.end(topic)
        records = self._log.read(topic, start=start, limit=self._batch_events)
        stop = records[-1].offset + 1 if records else max(start, end)
        return _Read(records, OffsetRange(topic, start, stop, log_id))

    def _write_events(self, records: Sequence[Record], span: OffsetRange) -> None:
        for ref, stored in self._by_type(records).items():
            append(self._lake, self._lake.name(ref), rows_of(self._lake.layouts[ref], stored), span)

    def _by_type(self, records: Sequence[Record]) -> Mapping[EventRef, list[StoredEvent]]:
        found: dict[EventRef, list[StoredEvent]] = {}
        refs: dict[tuple[str, str], EventRef] = {}
        decode = self._gate.decode
        for start in range(0, len(records), _READ_AT_ONCE):
            for record in records[start : start + _READ_AT_ONCE]:
                try:
                    written = (record.headers["type"], record.headers["version"])
                    ref = refs.get(written)
                    if ref is None:
                        ref = refs[written] = EventRef(written[0], int(written[1]))
                    event = decode(ref, record.value)
                except (LookupError, ValueError, StorageCorruptError):
                    self._pass_over(record)
                    continue
                found.setdefault(ref, []).append(StoredEvent(record.offset, event))
            time.sleep(0)  # the event loop answers requests on the same interpreter
        return found

    def _is_letter(self, record: Record) -> bool:
        """Tell whether a record can be a dead letter; one that cannot is passed over."""
        try:
            int(record.headers.get("raw_offset", 0))
        except ValueError:
            self._pass_over(record)
            return False
        return True

    def _pass_over(self, record: Record) -> None:
        """Leave out a record that cannot be read where others write too; else raise the error."""
        if not self._shared:
            raise  # noqa: PLE0704 - called where something was caught
        self.unreadable += 1
        log.warning("lake.record_passed_over", topic=record.topic, offset=record.offset)


def _said(positions: Positions) -> str:
    events = counted(positions.validated, "event")
    return f"{events} and {counted(positions.dead_letters, 'dead letter')}"


class _Read:
    """Records of a topic and the stretch they are all of."""

    __slots__ = ("records", "span")

    def __init__(self, records: Sequence[Record], span: OffsetRange) -> None:
        self.records = records
        self.span = span
