"""Read the lake: files for queries, events in log order for rebuilding state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentflow.events import Event, EventRef
from processing.lake.catalog import Lake
from processing.lake.positions import Positions
from quality import Gate


@dataclass(frozen=True, slots=True)
class Stored:
    """An event and its offset in the `validated` topic."""

    offset: int
    event: Event


class LakeReader:
    """Reads what is committed at the time of each call. Safe to share by threads."""

    def __init__(self, lake: Lake, gate: Gate) -> None:
        raise NotImplementedError

    def positions(self) -> Positions:
        """Return what every table of the lake covers."""
        raise NotImplementedError

    def files(
        self, ref: EventRef, *, start_us: int | None = None, end_us: int | None = None
    ) -> Sequence[str]:
        """Return the Parquet files that may hold events of the range, by path."""
        raise NotImplementedError

    def events(self, ref: EventRef, *, from_offset: int = 0) -> Iterator[Stored]:
        """Yield the events of one type at or after *from_offset*, in log order."""
        raise NotImplementedError

    def all_events(self, *, from_offset: int = 0) -> Iterator[Stored]:
        """Yield the events of all types at or after *from_offset*, in log order.

        Streams: memory is bounded by the largest files being merged, not by the lake.
        """
        raise NotImplementedError
