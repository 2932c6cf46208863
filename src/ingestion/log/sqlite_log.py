"""The bus on SQLite: one file, one writer, one fsync per commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

from agentflow.errors import StorageCorruptError, StorageError
from agentflow.wording import quoted
from ingestion.log import schema
from ingestion.log.chunks import encode_chunks, encode_entries
from ingestion.log.digests import DigestIndex
from ingestion.log.faults import DRIVER_ERRORS, storage_error, sync_failed, translated
from ingestion.log.indexing import REMEMBERED
from ingestion.log.plan import CommitPlan, NextOffsets, plan_commit
from ingestion.log.port import (
    DEAD_LETTERS,
    ONLY,
    PIPELINE,
    RAW,
    VALIDATED,
    Accept,
    Batch,
    Committed,
    Disposition,
    NewRecord,
    Record,
    RecordOffset,
    Reject,
    the_only,
)
from ingestion.log.reader import LogReader
from ingestion.log.refill import (
    OffsetRecord,
    Pairs,
    identities_of,
    index_pairs,
    insert,
    links_of,
    missing,
)
from ingestion.log.replica import ReplicaBatch, Replicated, unknown
from ingestion.log.topic_names import checked_topic

STAGED_IDENTITIES: Final = 65_536
STAGED_LINKS: Final = 32_768

_STORE_POSITION = "INSERT OR REPLACE INTO positions (consumer, topic, next_offset) VALUES (?, ?, ?)"


class SqliteLog:
    """A `CommitLog` in one SQLite file. Built by `ingestion.log.opening.open_log`.

    ReplicaBatch: what a method returned for is durable (`synchronous=FULL`) and stored once.
    Order: offsets are dense within a topic but for jumps after a salvage. Thread-safety: any
    thread; writers take turns, readers use connections of their own and never wait.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        *,
        identities: DigestIndex,
        links: DigestIndex,
    ) -> None:
        self._path = path
        self._connection = connection
        self._identities = identities
        self._links = links
        self._reader = LogReader(path)
        self._lock = Lock()
        self._broken = False
        self._ends = {
            topic: schema.topic_end(connection, topic, floor=floor)
            for topic, floor in schema.topics(connection).items()
        }

    @property
    def log_id(self) -> str:
        """Name of this log, made when it was created."""
        return self._reader.log_id

    def commit(self, batch: Batch) -> Committed:
        """Store a judged batch in one transaction; see `CommitLog.commit`.

        Raises:
            StorageFullError: Nothing of the batch was stored; the log stays usable.
            StorageError: Nothing of the batch was acknowledged; the log may need a restart.
        """
        with self._lock:
            known = self._known(batch.dispositions)
            plan = plan_commit(
                batch,
                known=known,
                ends=self._commit_ends(),
                firsts=self._firsts(known),
                letter_at=self._letters(batch.dispositions),
            )
            if plan.raw:
                with self._transaction():
                    self._store(plan)
                self._took(plan)
        return plan.committed

    def _known(self, dispositions: Sequence[Disposition]) -> dict[bytes, int]:
        return self._first_offsets(
            disposition.identity for disposition in dispositions if isinstance(disposition, Accept)
        )

    def _letters(self, dispositions: Sequence[Disposition]) -> Callable[[bytes], int | None]:
        """Return what knows dead letters: most at once, those of conflicts one by one."""
        asked = [
            disposition.identity
            for disposition in dispositions
            if isinstance(disposition, Reject) and disposition.identity is not None
        ]
        known = self._first_offsets(asked) if asked else {}
        asked_for = frozenset(asked)

        def letter_at(identity: bytes) -> int | None:
            if identity in asked_for:
                return known.get(identity)
            return self._first_offsets([identity]).get(identity)

        return letter_at

    def _firsts(self, known: Mapping[bytes, int]) -> dict[int, Record]:
        """Return what was accepted under identities that come again, where it can be read.

        A damaged chunk must not stop the log: whatever repeats its events is a duplicate.
        """
        if not known:
            return {}
        try:
            records = self._reader.read_offsets(VALIDATED, known.values())
        except StorageCorruptError:
            return {}
        return {record.offset: record for record in records}

    def _first_offsets(self, identities: Iterable[bytes]) -> dict[bytes, int]:
        known: dict[bytes, int] = {}
        unseen: list[bytes] = []
        staged = self._identities.staged
        for identity in identities:
            if offsets := staged(identity):
                known[identity] = offsets[0]
            else:
                unseen.append(identity)
        with translated(self._path):
            known.update(self._identities.stored(self._connection, unseen))
        return known

    def _commit_ends(self) -> NextOffsets:
        return NextOffsets(self._ends[RAW], self._ends[VALIDATED], self._ends[DEAD_LETTERS])

    def _store(self, plan: CommitPlan) -> None:
        raw, validated, dead_letters = self._commit_ends()
        self._insert(RAW, raw, plan.raw)
        self._insert(
            VALIDATED, validated, plan.validated, identities=plan.identities, links=plan.links
        )
        self._insert(DEAD_LETTERS, dead_letters, plan.dead_letters)
        if plan.letters:
            self._remember(plan.letters)
        self._connection.execute(_STORE_POSITION, (PIPELINE, RAW, plan.committed.raw.stop))
        self._identities.merge_some(self._connection, upto=validated)
        self._links.merge_some(self._connection, upto=validated)

    def _insert(
        self,
        topic: str,
        first: int,
        records: Sequence[NewRecord],
        *,
        identities: Sequence[bytes] = (),
        links: Sequence[tuple[bytes, int]] = (),
    ) -> None:
        for chunk in encode_chunks(first, records, identities=identities, links=links):
            schema.insert_chunk(self._connection, topic, chunk)

    def _took(self, plan: CommitPlan) -> None:
        committed = plan.committed
        self._identities.merged()
        self._links.merged()
        self._identities.stage(zip(plan.identities, committed.validated, strict=True))
        self._links.stage(plan.links)
        self._ends[RAW] = committed.raw.stop
        self._ends[VALIDATED] = committed.validated.stop
        self._ends[DEAD_LETTERS] = committed.dead_letters.stop
        self._ends[REMEMBERED] += len(plan.letters)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._broken:
            raise StorageError(
                f"file {quoted(self._path)} is not written any more: an fsync failed",
                hint="Check the disk, then restart: what was acknowledged is read back.",
            )
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._identities.not_merged()
            self._links.not_merged()
            if isinstance(error, DRIVER_ERRORS):
                self._broken = sync_failed(error)
                raise storage_error(error, path=self._path) from error
            raise

    def partitions(self, topic: str) -> int:
        """Return 1: there is one writer, and nothing to spread."""
        checked_topic(topic)
        return 1

    def append(self, topic: str, records: Sequence[NewRecord]) -> Sequence[RecordOffset]:
        """Store *records* in order, all or none, and return their places once they are durable.

        Raises:
            ParameterError: The topic's name is not valid.
            StorageError: Nothing was acknowledged.
        """
        checked_topic(topic)
        with self._lock:
            first = self._ends.get(topic, 0)
            if records:
                with self._transaction():
                    if topic not in self._ends:
                        schema.create_topic(self._connection, topic)
                    self._insert(topic, first, records)
                self._ends[topic] = first + len(records)
            return [RecordOffset(ONLY, offset) for offset in range(first, first + len(records))]

    def store_position(self, consumer: str, topic: str, offset: int, partition: int = ONLY) -> None:
        """Remember durably that *consumer* is done with everything before *offset*."""
        the_only(topic, partition)
        with self._lock, self._transaction():
            self._connection.execute(_STORE_POSITION, (consumer, topic, offset))

    def remember(self, identities: Iterable[tuple[bytes, int]]) -> None:
        """Make known (identity, first offset) pairs from elsewhere, such as the lake.

        For a log that had to start empty: what the lake holds must not be counted again.
        """
        pairs = [pair for pair in identities if self.find_identity(pair[0]) is None]
        if not pairs:
            return
        with self._lock:
            with self._transaction():
                self._remember(pairs)
            self._ends[REMEMBERED] += len(pairs)

    def _remember(self, pairs: Sequence[tuple[bytes, int]]) -> None:
        """Write pairs that no chunk of `validated` has: of dead letters, or from elsewhere."""
        chunk = encode_entries(self._ends[REMEMBERED], pairs)
        schema.insert_chunk(self._connection, REMEMBERED, chunk)
        self._identities.insert(self._connection, pairs)

    def refill(self, topic: str, placed: Sequence[OffsetRecord]) -> int:
        """Store records at the offsets they had in a file that was lost; return how many were new.

        *placed* are ordered by offset; those whose offset is taken are left out, so that doing it
        again is harmless. What is put back counts as accepted: its identity, its links.

        Raises:
            StorageError: Nothing of this call was stored.
        """
        with self._lock:
            with translated(self._path):
                lost = missing(self._connection, topic, placed) if placed else ()
            if lost:
                staged = self._put_back(topic, lost)
                self._identities.stage(staged[0])
                self._links.stage(staged[1])
                self._ends[topic] = max(self._ends[topic], lost[-1].offset + 1)
        return len(lost)

    def _put_back(self, topic: str, lost: Sequence[OffsetRecord]) -> tuple[Pairs, Pairs]:
        connection = self._connection
        with self._transaction():
            self._identities.merge_some(connection, upto=self._ends[VALIDATED])
            self._links.merge_some(connection, upto=self._ends[VALIDATED])
            insert(connection, topic, lost)
            identities, links = identities_of(lost), links_of(lost)
            identities = index_pairs(connection, self._identities, identities)
            links = index_pairs(connection, self._links, links)
        self._identities.merged()
        self._links.merged()
        return identities, links

    def replicate(self, delivery: ReplicaBatch) -> Replicated:
        """Store what is new of a delivery, with its positions; see `ReplicaLog.replicate`.

        Raises:
            StorageFullError: Nothing of it was stored; the log stays usable.
            StorageError: Nothing of it was stored; the log may need a restart.
        """
        with self._lock:
            known = self._first_offsets(
                item.identity for item in delivery.validated if item.identity is not None
            )
            validated = unknown(delivery.validated, end=self._ends[VALIDATED], known=known)
            letters = unknown(delivery.dead_letters, end=self._ends[DEAD_LETTERS], known=())
            with self._transaction():
                upto = self._ends[VALIDATED]
                insert(self._connection, VALIDATED, validated)
                insert(self._connection, DEAD_LETTERS, letters)
                self._store_positions(delivery.positions)
                self._identities.merge_some(self._connection, upto=upto)
                self._links.merge_some(self._connection, upto=upto)
            self._identities.merged()
            self._links.merged()
            self._identities.stage(identities_of(validated))
            self._links.stage(links_of(validated))
            for topic, stored in ((VALIDATED, validated), (DEAD_LETTERS, letters)):
                if stored:
                    self._ends[topic] = stored[-1].offset + 1
        return Replicated(validated, letters)

    def _store_positions(self, positions: Mapping[tuple[str, str], int | None]) -> None:
        self._connection.executemany(
            _STORE_POSITION,
            [(*name, offset) for name, offset in positions.items() if offset is not None],
        )
        self._connection.executemany(
            "DELETE FROM positions WHERE consumer = ? AND topic = ?",
            [name for name, offset in positions.items() if offset is None],
        )

    def skip_to(self, floors: Mapping[str, int]) -> None:
        """Let topics go on at these offsets, unless they are further; nothing is given before."""
        with self._lock:
            with self._transaction():
                self._connection.executemany(
                    "UPDATE topics SET floor = max(floor, ?) WHERE topic = ?",
                    [(floor, topic) for topic, floor in floors.items()],
                )
            for topic, floor in floors.items():
                self._ends[topic] = max(self._ends[topic], floor)

    def read(
        self, topic: str, *, start: int, limit: int, partition: int = ONLY
    ) -> Sequence[Record]:
        """Return up to *limit* records at or after *start* in offset order; empty at the end."""
        the_only(topic, partition)
        return self._reader.read(topic, start=start, limit=limit)

    def read_offsets(self, topic: str, offsets: Iterable[int]) -> Sequence[Record]:
        """Return the records at *offsets*, in offset order, without those that do not exist."""
        return self._reader.read_offsets(topic, offsets)

    def end(self, topic: str, partition: int = ONLY) -> int:
        """Return the offset the topic's next record will be given."""
        the_only(topic, partition)
        return self._ends.get(topic, 0)

    def position(self, consumer: str, topic: str, partition: int = ONLY) -> int:
        """Return the next offset *consumer* has to read; 0 when it never stored one."""
        the_only(topic, partition)
        return self._reader.position(consumer, topic)

    def positions(self, consumers: Sequence[str]) -> Mapping[tuple[str, str], int]:
        """Return every position stored under these names, by (consumer, topic)."""
        return self._reader.positions(consumers)

    def find_identity(self, identity: bytes) -> int | None:
        """Return where in `validated` the identity was first accepted, or None."""
        with self._reader.connection() as connection:
            offsets = self._identities.offsets(connection, [identity]).get(identity)
        return offsets[0] if offsets else None

    def find_identities(self, identities: Sequence[bytes]) -> Mapping[bytes, int]:
        """Return where in `validated` each identity was first accepted, where it was."""
        with self._reader.connection() as connection:
            found = self._identities.offsets(connection, identities)
        return {identity: offsets[0] for identity, offsets in found.items()}

    def linked(self, link: bytes, *, before: int | None = None) -> Sequence[int]:
        """Return the `validated` offsets of events with that link, ascending, below *before*."""
        return self.linked_many([link], before=before).get(link, ())

    def linked_many(
        self, links: Iterable[bytes], *, before: int | None = None
    ) -> Mapping[bytes, Sequence[int]]:
        """Return `linked` for each of *links*; those that link to nothing are left out."""
        with self._reader.connection() as connection:
            found = self._links.offsets(connection, list(dict.fromkeys(links)))
        if before is None:
            return found
        kept = {
            link: [offset for offset in offsets if offset < before]
            for link, offsets in found.items()
        }
        return {link: offsets for link, offsets in kept.items() if offsets}

    def close(self) -> None:
        """Write the WAL back and release the file; what was acknowledged is safe without it."""
        self._reader.close()
        with self._lock:
            self._connection.close()
