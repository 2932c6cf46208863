"""A commit log that forgets: for tests and simulations that want the port without a disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

from ingestion.log.plan import NextOffsets, plan_commit
from ingestion.log.port import (
    DEAD_LETTERS,
    ONLY,
    PIPELINE,
    RAW,
    VALIDATED,
    Accept,
    Batch,
    Committed,
    NewRecord,
    Record,
    RecordOffset,
    the_only,
)
from ingestion.log.topic_names import checked_topic


class MemoryLog:
    """A `CommitLog` in lists. Delivery: until the process ends. Thread-safety: any thread."""

    def __init__(self, log_id: str = "memory") -> None:
        self._log_id = log_id
        self._records: dict[str, list[Record]] = {}
        self._positions: dict[tuple[str, str], int] = {}
        self._identities: dict[bytes, int] = {}
        self._links: dict[bytes, list[int]] = {}
        self._lock = Lock()

    @property
    def log_id(self) -> str:
        """The name given at creation."""
        return self._log_id

    def partitions(self, topic: str) -> int:
        """Return 1."""
        checked_topic(topic)
        return 1

    def append(self, topic: str, records: Sequence[NewRecord]) -> Sequence[RecordOffset]:
        """Store *records* in order and return their places."""
        checked_topic(topic)
        with self._lock:
            return [RecordOffset(ONLY, offset) for offset in self._append(topic, records)]

    def _append(self, topic: str, records: Sequence[NewRecord]) -> range:
        stored = self._records.setdefault(topic, [])
        first = len(stored)
        stored += [
            Record(topic, 0, offset, new.key, new.value, new.headers, new.timestamp_us)
            for offset, new in enumerate(records, first)
        ]
        return range(first, len(stored))

    def commit(self, batch: Batch) -> Committed:
        """Store a judged batch; see `CommitLog.commit`."""
        with self._lock:
            ends = NextOffsets(self.end(RAW), self.end(VALIDATED), self.end(DEAD_LETTERS))
            stored = self._records.get(VALIDATED, [])
            firsts = {offset: stored[offset] for offset in self._known(batch)}
            plan = plan_commit(
                batch,
                known=self._identities,
                ends=ends,
                firsts=firsts,
                letter_at=self._identities.get,
            )
            self._append(RAW, plan.raw)
            self._append(VALIDATED, plan.validated)
            self._append(DEAD_LETTERS, plan.dead_letters)
            self._identities.update(zip(plan.identities, plan.committed.validated, strict=True))
            self._identities.update(plan.letters)
            for link, offset in plan.links:
                self._links.setdefault(link, []).append(offset)
            self._positions[PIPELINE, RAW] = plan.committed.raw.stop
        return plan.committed

    def _known(self, batch: Batch) -> set[int]:
        identities = (item.identity for item in batch.dispositions if isinstance(item, Accept))
        return {self._identities[each] for each in identities if each in self._identities}

    def read(
        self, topic: str, *, start: int, limit: int, partition: int = ONLY
    ) -> Sequence[Record]:
        """Return up to *limit* records at or after *start*; empty at the end."""
        the_only(topic, partition)
        return self._records.get(topic, [])[start : start + limit]

    def read_offsets(self, topic: str, offsets: Iterable[int]) -> Sequence[Record]:
        """Return the records at *offsets*, in offset order, without those that do not exist."""
        stored = self._records.get(topic, [])
        return [stored[offset] for offset in sorted(set(offsets)) if 0 <= offset < len(stored)]

    def end(self, topic: str, partition: int = ONLY) -> int:
        """Return the offset the topic's next record will be given."""
        the_only(topic, partition)
        return len(self._records.get(topic, []))

    def position(self, consumer: str, topic: str, partition: int = ONLY) -> int:
        """Return the next offset *consumer* has to read; 0 when it never stored one."""
        the_only(topic, partition)
        return self._positions.get((consumer, topic), 0)

    def store_position(self, consumer: str, topic: str, offset: int, partition: int = ONLY) -> None:
        """Remember that *consumer* is done with everything before *offset*."""
        the_only(topic, partition)
        self._positions[consumer, topic] = offset

    def find_identity(self, identity: bytes) -> int | None:
        """Return where in `validated` the identity was first accepted, or None."""
        return self._identities.get(identity)

    def linked(self, link: bytes, *, before: int | None = None) -> Sequence[int]:
        """Return the `validated` offsets of events with that link, ascending, below *before*."""
        return self.linked_many([link], before=before).get(link, ())

    def linked_many(
        self, links: Iterable[bytes], *, before: int | None = None
    ) -> Mapping[bytes, Sequence[int]]:
        """Return `linked` for each of *links*; those that link to nothing are left out."""
        found = {}
        for link in links:
            offsets = sorted(set(self._links.get(link, ())))
            kept = [offset for offset in offsets if before is None or offset < before]
            if kept:
                found[link] = kept
        return found
