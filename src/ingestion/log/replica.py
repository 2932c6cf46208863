"""A log that is a copy: records come with the offsets they have elsewhere, and may come twice."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from ingestion.log.port import CommitLog
from ingestion.log.refill import OffsetRecord


class ReplicaBatch(msgspec.Struct, frozen=True, gc=False):
    """What arrived, and the positions that must be stored with it or not at all.

    Attributes:
        validated: Accepted events by offset, each with its identity and links.
        dead_letters: Refused ones by offset.
        positions: (consumer, topic) → next offset; None forgets it.
    """

    validated: Sequence[OffsetRecord]
    dead_letters: Sequence[OffsetRecord]
    positions: Mapping[tuple[str, str], int | None]


class Replicated(msgspec.Struct, frozen=True, gc=False):
    """What of a delivery was new, by offset; the rest had been stored or accepted before."""

    validated: Sequence[OffsetRecord]
    dead_letters: Sequence[OffsetRecord]


class ReplicaLog(CommitLog, Protocol):
    """A log that follows another one. What it loses is fetched again: it need not be durable."""

    def replicate(self, delivery: ReplicaBatch) -> Replicated:
        """Store what is new, at its own offset, and the positions, in one transaction.

        Left out are records before the end of their topic, and events whose identity is known: an
        identity counts where it was first accepted, and a later offset is a gap.

        Raises:
            StorageFullError: Nothing of it was stored; the log stays usable.
            StorageError: Nothing of it was stored; the log may need a restart.
        """
        ...

    def find_identities(self, identities: Sequence[bytes]) -> Mapping[bytes, int]:
        """Return where each identity was first accepted, or refused, where it was."""
        ...

    def remember(self, identities: Iterable[tuple[bytes, int]]) -> None:
        """Make known what refused events are equal to, with the offset of their dead letter."""
        ...

    def positions(self, consumers: Sequence[str]) -> Mapping[tuple[str, str], int]:
        """Return every position stored under these names, by (consumer, topic)."""
        ...


def unknown(
    placed: Sequence[OffsetRecord], *, end: int, known: Container[bytes]
) -> list[OffsetRecord]:
    """Return those of *placed* at or after *end* whose identity is new, there and among them."""
    found: list[OffsetRecord] = []
    seen: set[bytes] = set()
    for item in placed:
        if item.offset < end:
            continue
        end = item.offset + 1
        if item.identity is not None:
            if item.identity in known or item.identity in seen:
                continue
            seen.add(item.identity)
        found.append(item)
    return found
