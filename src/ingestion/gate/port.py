"""The bus as the gate needs it: raw records in, outcomes and progress out in one commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ingestion.log.port import LogSource, NewRecord, Record


@dataclass(frozen=True, slots=True)
class GateProgress:
    """How far the gate has come.

    Attributes:
        commits: How many commits there were, of any process: what a commit builds upon.
        positions: The next offset of each raw partition.
    """

    commits: int
    positions: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a batch of raw records: stored whole, or not at all.

    Attributes:
        outcomes: What to append to the followed topics, in order.
        identities: Those counted for the first time, with what tells their content.
        positions: The next offsets of the raw partitions that moved.
    """

    outcomes: Sequence[tuple[str, NewRecord]]
    identities: Mapping[bytes, bytes]
    positions: Mapping[int, int]


class SupersededError(Exception):
    """Another gate was faster; what it stored is read, and judging goes on behind it."""


class GateBus(Protocol):
    """Where one gate at a time reads and writes.

    Every method raises `UnavailableError` when trying again later can help, and `StorageError` when
    the operator has to act. Thread-safety: any thread.
    """

    def lead(self) -> bool:
        """Become, or stay, the gate that works; False while another one is.

        Two may believe it for a moment: commits are what keeps them apart.
        """
        ...

    def claim_lake(self, lake_id: str) -> bool:
        """Say which lake the gates of this bus write; False when it is another one."""
        ...

    def progress(self) -> GateProgress:
        """Return how far the gate has come."""
        ...

    def read(self, positions: Mapping[int, int], *, limit: int) -> Sequence[Record]:
        """Wait a moment for raw records and return those there are, in order within partitions."""
        ...

    def known(self, identities: Iterable[bytes]) -> Mapping[bytes, bytes]:
        """Return the content of each of *identities* that was counted before and is remembered."""
        ...

    def commit(self, progress: GateProgress, settlement: Settlement) -> GateProgress:
        """Store *settlement*, durable when it returns, and return how far the gate is then.

        Raises:
            SupersededError: Another commit was made since *progress*; nothing was stored.
        """
        ...

    def trim(self, *, before: Mapping[str, int], raw: Mapping[int, int]) -> None:
        """Let go of records of followed topics, and of raw partitions, before these offsets."""
        ...

    def resign(self) -> None:
        """Let another gate lead at once."""
        ...

    def close(self) -> None:
        """Let connections go."""
        ...


class JudgedLog(LogSource, Protocol):
    """The stream that is judged, as the writer of the lake reads it."""

    def close(self) -> None:
        """Let connections go."""
        ...


@dataclass(frozen=True, slots=True)
class GateWork:
    """What `agentflow gate` works on.

    Attributes:
        raw_topic: The broker's name of the raw topic.
        keep_events: Records that each topic keeps beyond what was judged, or the lake covers; 0 for
            all there ever were.
    """

    bus: GateBus
    log: JudgedLog
    raw_topic: str
    keep_events: int
