"""The bus as its callers see it: topics of records with offsets, positions, and one atomic commit.

The words are those every broker shares (topic, partition, offset, key, headers), so that Kafka
and Redis Streams stand behind `Bus` too. `CommitLog` adds what only the embedded log can
give: raw record, identity, accepted event and dead letter become durable together or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from agentflow.errors import ParameterError
from agentflow.events import RawEvent
from agentflow.wording import quoted

ONLY: Final = 0
"""The partition of a topic that has one."""

RAW: Final = "raw"
VALIDATED: Final = "validated"
DEAD_LETTERS: Final = "dead_letters"
DUPLICATES: Final = "duplicates"
"""What an event counted already became, where accepting is not one transaction; see `Duplicate`."""
SESSIONS: Final = "sessions"
"""Sessions of entities, each once the watermark has passed its end."""
CHANGES: Final = "changes"

PIPELINE: Final = "pipeline"
"""The consumer whose position on `raw` moves inside `CommitLog.commit`."""


class NewRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record that has no offset yet. Records of one key keep their order."""

    key: bytes | None
    value: bytes
    headers: Mapping[str, str]
    timestamp_us: int


class Record(msgspec.Struct, frozen=True, gc=False):
    """A stored record. Offsets grow within (topic, partition); they may have gaps."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, str]
    timestamp_us: int


class RecordOffset(NamedTuple):
    """Where a record of a topic is."""

    partition: int
    offset: int


class Bus(Protocol):
    """An ordered, durable log of records per topic and partition.

    Delivery: a record is durable when `append` returns. Order: offsets of a partition grow in the
    order of the calls, and records of one key are in one partition. Thread-safety: every method may
    be called from any thread.

    Every method raises `ParameterError` for an invalid topic name, `UnavailableError` when
    trying again later can help, and `StorageError` when an operator has to act.
    """

    @property
    def log_id(self) -> str:
        """Name of this log, made when it was created; offsets mean nothing under another one."""
        ...

    def partitions(self, topic: str) -> int:
        """Return how many partitions *topic* has; they count from 0, and never become fewer."""
        ...

    def append(self, topic: str, records: Sequence[NewRecord]) -> Sequence[RecordOffset]:
        """Store *records* and return where each is, in the same order, once all are durable.

        When it raises, a broker may have stored some of them: to append again is to repeat them.
        """
        ...

    def read(self, topic: str, *, start: int, limit: int, partition: int = 0) -> Sequence[Record]:
        """Return up to *limit* records at or after *start* in offset order; empty at the end."""
        ...

    def end(self, topic: str, partition: int = 0) -> int:
        """Return the offset the next record will be given or, after a gap, a lower bound of it."""
        ...

    def position(self, consumer: str, topic: str, partition: int = 0) -> int:
        """Return the next offset *consumer* has to read; 0 when it never stored one."""
        ...

    def store_position(self, consumer: str, topic: str, offset: int, partition: int = 0) -> None:
        """Remember durably that *consumer* is done with everything before *offset*."""
        ...


class LogSource(Protocol):
    """The reading half of `Bus`, which the lake needs; another process may be writing it."""

    @property
    def log_id(self) -> str:
        """Name of this log; offsets mean nothing under another one."""
        ...

    def read(self, topic: str, *, start: int, limit: int) -> Sequence[Record]:
        """Return up to *limit* records at or after *start* in offset order; empty at the end."""
        ...

    def end(self, topic: str) -> int:
        """Return the offset the next record will be given or, after a gap, a lower bound of it."""
        ...


def the_only(topic: str, partition: int) -> None:
    """Check a partition where topics have one.

    Raises:
        ParameterError: It is another.
    """
    if partition != ONLY:
        raise ParameterError(
            f"topic {quoted(topic)} has no partition {partition}", hint="Here topics have one, 0."
        )


class Accept(msgspec.Struct, frozen=True, gc=False):
    """The gate's yes: what to append to `validated` unless the identity is known.

    What knows contracts says in `conflict` whether an event of a known identity is a repetition.

    Attributes:
        identity: 16 bytes (`agentflow.events.identity_key`); it counts once, ever.
        key: Ordering key of the event's contract, or None.
        value: The encoded event.
        links: 16-byte digests under which `CommitLog.linked` finds this event again.
    """

    identity: bytes
    type: str
    version: int
    tenant: str
    key: bytes | None
    value: bytes
    occurred_us: int
    links: tuple[bytes, ...] = ()

    def conflict(self, first: NewRecord | Record) -> Reject | None:
        """Return what becomes of it beside *first*, which `validated` holds of its identity.

        None: it repeats *first*, and is a duplicate.
        """
        del first
        return None


class Reject(msgspec.Struct, frozen=True, gc=False):
    """The gate's no: what to append to `dead_letters`. `detail` is a JSON document.

    Attributes:
        identity: 16 bytes, equal where the same arrived and was refused for the same reason; its
            dead letter stands for every repetition. None: each is a dead letter of its own.
    """

    tenant: str
    reason: str
    detail: bytes
    type: str | None = None
    event_id: str | None = None
    identity: bytes | None = None


Disposition = Accept | Reject


class Batch(msgspec.Struct, frozen=True):
    """Raw events and one disposition for each, in the same order."""

    raws: Sequence[RawEvent]
    dispositions: Sequence[Disposition]


class Stored(msgspec.Struct, frozen=True, gc=False):
    """The event is new: `offset` is its place in `validated`."""

    raw_offset: int
    offset: int


class Duplicate(msgspec.Struct, frozen=True, gc=False):
    """The identity was known, of equal content: `first_offset` is its place in `validated`."""

    raw_offset: int
    first_offset: int


class DeadLettered(msgspec.Struct, frozen=True, gc=False):
    """The event was refused, or conflicts with another: `offset` is its place in `dead_letters`.

    What was refused before is not stored again: `offset` is that of the first time.
    """

    raw_offset: int
    offset: int


Outcome = Stored | Duplicate | DeadLettered


class Committed(msgspec.Struct, frozen=True):
    """What became of a batch: one outcome per raw event, in order, and the offsets that are new.

    The three ranges are empty (start = stop = the topic's end) when nothing went to the topic.
    """

    outcomes: Sequence[Outcome]
    raw: range
    validated: range
    dead_letters: range


class CommitLog(Bus, Protocol):
    """A bus that can accept events atomically: the embedded pipeline's half of exactly-once.

    It has one partition for each topic, and its `append` stores all records or none.
    """

    def commit(self, batch: Batch) -> Committed:
        """Append raws, identities, accepted events, links, dead letters; move `pipeline`.

        One transaction, durable when it returns. An identity that is stored already, or earlier in
        the same batch, is a `Duplicate` and appends to `raw` only, unless its disposition says that
        it conflicts with the first: then it is a dead letter.

        Raises:
            StorageFullError: Nothing of the batch was stored; the log stays usable.
            StorageError: Nothing of the batch was acknowledged; the log may need a restart.
        """
        ...

    def read_offsets(self, topic: str, offsets: Iterable[int]) -> Sequence[Record]:
        """Return the records at *offsets*, in offset order, without those that do not exist."""
        ...

    def find_identity(self, identity: bytes) -> int | None:
        """Return where in `validated` the identity was first accepted, or None."""
        ...

    def linked(self, link: bytes, *, before: int | None = None) -> Sequence[int]:
        """Return the `validated` offsets of events with that link, ascending, below *before*."""
        ...

    def linked_many(
        self, links: Iterable[bytes], *, before: int | None = None
    ) -> Mapping[bytes, Sequence[int]]:
        """Return `linked` for each of *links*; those that link to nothing are left out."""
        ...
