"""Close the gap between a running replica and a stream that forgot what comes next: from the lake.

The replica keeps what it has. What it lacks is taken from the lake, as at a start; what neither the
lake nor the stream holds is lost, and is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import structlog

from agentflow.contracts import Registry
from agentflow.errors import StorageError, UnavailableError
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from ingestion.log.refill import OffsetRecord
from ingestion.log.replica import ReplicaBatch, ReplicaLog
from ingestion.stream.port import FOLLOWED, Broker, TopicBounds
from processing.follow.follower import FOLLOWER
from processing.follow.replica import ANOTHER_STREAM
from processing.lake import LakeReader
from processing.recovery.opening import Recovery
from processing.recovery.refill import RecordMaker, letters_of
from quality import Gate

log = structlog.get_logger()
_AT_ONCE: Final = 5_000


def bridge(
    replica: ReplicaLog, source: Broker, reader: LakeReader, registry: Registry, gate: Gate
) -> Sequence[Recovery]:
    """Bring *replica* to where *source* can be read on, and return what was done; blocks.

    Cut off, it is done again from where it came to.

    Raises:
        UnavailableError: The stream does not answer.
        StorageError: The lake cannot be read, the replica cannot be written, or the stream ends
            before what the replica read of it.
    """
    bounds = source.bounds()
    if bounds is None:
        raise UnavailableError("the stream does not say what it still holds")
    stood = {topic: at for (_, topic), at in replica.positions([FOLLOWER]).items()}
    behind = {topic: stood.get(topic, 0) for topic in FOLLOWED}
    behind = {topic: at for topic, at in behind.items() if at < bounds[topic].start}
    _require_same_stream(stood, bounds)
    held = reader.positions()
    covered = {VALIDATED: held.validated, DEAD_LETTERS: held.dead_letters}
    recoveries = []
    for topic, at in behind.items():
        until = covered.get(topic, 0)
        for placed in _held(reader, registry, gate, topic=topic, start=at, until=until):
            _store(replica, topic, placed, placed[-1].offset + 1)
        there = bounds[topic].start
        _store(replica, topic, (), max(until, there))
        recoveries.append(_told(topic, at, until, there))
    log.warning("replica.bridged", stood=behind, covered=covered)
    return recoveries


def _require_same_stream(stood: Mapping[str, int], bounds: Mapping[str, TopicBounds]) -> None:
    for topic, at in stood.items():
        if topic in bounds and at > bounds[topic].end:
            raise StorageError(
                f"{topic} ends at {bounds[topic].end}, but was read to {at}",
                hint=ANOTHER_STREAM,
            )


def _told(topic: str, at: int, until: int, there: int) -> Recovery:
    if until >= there:
        detail = f"{topic} {at} to {until - 1} came from the lake, the stream had deleted them"
        return Recovery("log", detail, lost=False, when="meanwhile")
    first = max(at, until)
    detail = f"{topic} {first} to {there - 1} are in neither the lake nor the stream"
    return Recovery("log", detail, lost=True, when="meanwhile")


def _held(
    reader: LakeReader, registry: Registry, gate: Gate, *, topic: str, start: int, until: int
) -> Iterator[Sequence[OffsetRecord]]:
    """Yield what the lake holds of a range of offsets, in their order."""
    found: Iterator[OffsetRecord] = iter(())
    if topic == VALIDATED:
        record = RecordMaker(registry, gate).record
        stored = reader.all_events(from_offset=start, up_to=until)
        found = (record(item.offset, item.event) for item in stored)
    elif topic == DEAD_LETTERS:
        letters = [each for each in letters_of(reader) if start <= each.offset < until]
        found = iter(sorted(letters, key=lambda each: each.offset))
    while placed := list(islice(found, _AT_ONCE)):
        yield placed


def _store(replica: ReplicaLog, topic: str, placed: Sequence[OffsetRecord], position: int) -> None:
    events, letters = (placed, ()) if topic == VALIDATED else ((), placed)
    replica.replicate(ReplicaBatch(events, letters, {(FOLLOWER, topic): position}))
