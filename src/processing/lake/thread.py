"""The thread that keeps the lake close behind the log, woken by pushes."""

from __future__ import annotations

from datetime import timedelta

from processing.lake.positions import Positions
from processing.lake.writer import LakeWriter


class LakeThread:
    """Runs a `LakeWriter`: a batch at most every *interval*, or once *batch_events* wait.

    Every method may be called from any thread and none but `flush` and `close` blocks.
    """

    def __init__(
        self,
        writer: LakeWriter,
        *,
        interval: timedelta = timedelta(seconds=10),
        batch_events: int = 20_000,
    ) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Start the thread."""
        raise NotImplementedError

    def notify(self, ends: Positions) -> None:
        """Say that the log's topics now end at *ends*; returns at once."""
        raise NotImplementedError

    @property
    def covered(self) -> Positions:
        """What the lake holds."""
        raise NotImplementedError

    @property
    def failure(self) -> Exception | None:
        """Why the last attempt failed; None while all is well. Attempts go on at each interval."""
        raise NotImplementedError

    def flush(self, goal: Positions, *, timeout: timedelta) -> bool:
        """Write now and wait until *goal* is covered; False when that took longer than *timeout*.

        Raises:
            StorageError: The attempt failed.
        """
        raise NotImplementedError

    def close(self, *, flush: bool = True) -> None:
        """Write what is left (unless told otherwise), then stop the thread and wait for it."""
        raise NotImplementedError
