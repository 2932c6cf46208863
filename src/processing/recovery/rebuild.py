"""Bring a live engine from nothing to the end of the log: a snapshot and the tail, or all of it.

The same path serves a restart, a lost snapshot, a lost log and a new metric version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from agentflow.clock import Clock
from agentflow.events import Event
from ingestion.log.port import VALIDATED, Bus
from processing.lake import LakeReader
from processing.live import LiveEngine
from processing.live.groups import decoded
from quality.gate import Gate

READ_AT_ONCE = 2_000
Progress = Callable[[str, int, int], None]
"""Told (what, done, total); may be called from another thread than the caller's."""


def no_progress(what: str, done: int, total: int) -> None:
    """Do nothing."""
    del what, done, total


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Where the live state came from.

    Attributes:
        source: `snapshot` (then the log's tail), or all of the `log`.
        events: How many events were applied on top of the snapshot, or in all.
        reason: Why a snapshot that exists was not used.
    """

    source: Literal["snapshot", "log"]
    events: int
    reason: str | None = None


def logged_events(log: Bus, gate: Gate, *, start: int) -> Iterator[tuple[int, Event]]:
    """Yield accepted events from *start* to the end the log has when it is reached."""
    while records := log.read(VALIDATED, start=start, limit=READ_AT_ONCE):
        yield from decoded(records, gate)
        start = records[-1].offset + 1


def past_events(reader: LakeReader, log: Bus, gate: Gate) -> Iterator[tuple[int, Event]]:
    """Yield every accepted event there is: those the lake covers from the lake, then the tail."""
    covered = reader.positions().validated
    for stored in reader.all_events():
        if stored.offset < covered:
            yield stored.offset, stored.event
    yield from logged_events(log, gate, start=covered)


def feed(
    engine: LiveEngine,
    events: Iterator[tuple[int, Event]],
    *,
    clock: Clock,
    total: int,
    progress: Progress = no_progress,
) -> int:
    """Apply *events* in slices and return how many there were."""
    count = 0
    while batch := list(islice(events, READ_AT_ONCE)):
        engine.apply(batch, now_us=clock.now_us())
        count += len(batch)
        progress("rebuilding live state", min(batch[-1][0] + 1, total), total)
    return count
