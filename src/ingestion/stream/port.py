"""The stream as a platform follows it, and everything it needs of the broker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from agentflow.supervision import Supervisor
from ingestion.log.port import DEAD_LETTERS, DUPLICATES, VALIDATED, NewRecord, Record, RecordOffset

FOLLOWED: Final = (VALIDATED, DEAD_LETTERS, DUPLICATES)
"""The topics that say what became of raw records; each has one partition."""


def partition_name(topic: str, partition: int) -> str:
    """Return the name of one partition, as tokens and positions have it.

    >>> partition_name("agentflow.raw", 2)
    'agentflow.raw/2'
    """
    return f"{topic}/{partition}"


class TopicBounds(NamedTuple):
    """Where a topic of one partition begins and ends at this moment.

    Attributes:
        start: The first offset there is.
        end: The offset after the last.
    """

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TopicEnds:
    """Where everything ended at an instant.

    Attributes:
        followed: Of the topics that are followed, by name.
        raw: Of the partitions of the raw topic, by their names.
        judged: How far the job had come in raw partitions, asked before all else. What is judged
            before that is in the followed topics before their ends. A partition of which the job
            says nothing is left out.
    """

    followed: Mapping[str, int]
    raw: Mapping[str, int]
    judged: Mapping[str, int]


class Stream(Protocol):
    """Reads the followed topics. One thread uses it, but for `bounds` and `ends`.

    A broker that goes away is waited for in `poll`, which comes back empty; nothing is lost or
    skipped by that.
    """

    def open(self, positions: Mapping[str, int]) -> None:
        """Begin to read each followed topic at its position."""
        ...

    def poll(self) -> Sequence[Record]:
        """Wait for records and return those there are, in order within each topic; or none.

        Raises:
            OffsetLostError: What comes next was deleted.
        """
        ...

    def pause(self) -> None:
        """Let `poll` wait without reading; what was read and not returned is kept or read again."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    def next_raw(self, partition: str, offset: int, *, end: int) -> int | None:
        """Return the first raw offset from *offset* on that exists; *end* when none before it does.

        None when the broker did not say in time.
        """
        ...

    def ends(self) -> TopicEnds:
        """Ask the broker where everything ends; any thread.

        Raises:
            UnavailableError: It does not answer.
        """
        ...

    def close(self) -> None:
        """Stop reading."""
        ...


class RawSender(Protocol):
    """Appends to the raw topic."""

    async def send(self, topic: str, records: Sequence[NewRecord]) -> Sequence[RecordOffset]:
        """Store *records* and return where each is, in the same order.

        Raises:
            BacklogFullError: Too much waits already; nothing was taken.
            UnavailableError: The broker did not take all of them in time.
        """
        ...

    def close(self) -> None:
        """Take nothing more and deliver what was taken; blocks, so not on the event loop."""
        ...


class Broker(Protocol):
    """Everything that is needed of a stream; made for one platform."""

    @property
    def name(self) -> str:
        """What it is called in messages: `Kafka`, `Redis`."""
        ...

    @property
    def raw_topic(self) -> str:
        """The broker's name of the raw topic."""
        ...

    def cluster_id(self) -> str | None:
        """Return the name of the log that offsets belong to; None without an answer."""
        ...

    def lake_id(self) -> str | None:
        """Return the name of the lake that is written from it; None when it does not know."""
        ...

    def bounds(self) -> Mapping[str, TopicBounds] | None:
        """Return where each followed topic begins and ends; None when the broker does not answer.

        Raises:
            TopicUnknownError: One does not exist.
        """
        ...

    def stream(self, lost: Callable[[], None]) -> Stream:
        """Return a reader; *lost* is called, in any thread, when every broker is gone."""
        ...

    def sender(self, supervisor: Supervisor) -> RawSender:
        """Return what appends to the raw topic."""
        ...
