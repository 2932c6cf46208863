"""The stream as the follower sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from ingestion.log.port import DEAD_LETTERS, DUPLICATES, VALIDATED, NewRecord, Record, RecordOffset

FOLLOWED: Final = (VALIDATED, DEAD_LETTERS, DUPLICATES)
"""The topics that say what became of raw records; each has one partition."""


def partition_name(topic: str, partition: int) -> str:
    """Return the name of one partition, as tokens and positions have it.

    >>> partition_name("agentflow.raw", 2)
    'agentflow.raw/2'
    """
    return f"{topic}/{partition}"


class TopicBounds(Protocol):
    """Where a topic begins and ends at this moment."""

    @property
    def start(self) -> int:
        """The first offset there is."""
        ...

    @property
    def end(self) -> int:
        """The offset after the last."""
        ...


class Ends(Protocol):
    """Where everything ended at an instant."""

    @property
    def followed(self) -> Mapping[str, int]:
        """Of the topics that are followed, by name."""
        ...

    @property
    def raw(self) -> Mapping[str, int]:
        """Of the partitions of the raw topic, by their names."""
        ...

    @property
    def judged(self) -> Mapping[str, int]:
        """How far the job had come in raw partitions, asked before all else.

        What is judged before that is in the followed topics before their ends. A partition of which
        the job says nothing is left out.
        """
        ...


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

    def ends(self) -> Ends:
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
        """Deliver what was taken."""
        ...
