"""From the log to the lake, each event exactly once."""

from __future__ import annotations

from agentflow.clock import Clock
from ingestion.log.port import Bus
from processing.lake.catalog import Lake
from processing.lake.positions import Positions
from quality import Gate


class LakeWriter:
    """Copies the log's accepted events and dead letters to the lake in batches.

    Delivery: exactly once, across kill -9, lost replies and a second writer. Thread-safety: one
    thread at a time; `LakeThread` is that thread in the platform.
    """

    def __init__(
        self, lake: Lake, log: Bus, gate: Gate, *, clock: Clock, batch_events: int = 20_000
    ) -> None:
        """Recover the covered positions from the snapshot summaries.

        Raises:
            StorageError: The lake is ahead of the log: the log must go on at `lake_positions`.
        """
        raise NotImplementedError

    @property
    def covered(self) -> Positions:
        """What the lake holds, as of the last commit of this writer. Any thread."""
        raise NotImplementedError

    def write_up_to(self, goal: Positions) -> Positions:
        """Write until *goal* is covered, in batches; return what is covered then.

        Raises:
            StorageFullError: The disk is full; calling again later goes on without loss.
            StorageError: A commit failed for another reason; calling again is safe.
        """
        raise NotImplementedError
