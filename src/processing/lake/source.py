"""What the lake needs of a log: to read it. Another process may be writing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ingestion.log.port import Record


class LogSource(Protocol):
    """The reading half of `ingestion.log.port.Bus`."""

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
