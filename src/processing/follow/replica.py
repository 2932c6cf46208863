"""Make the local replica usable: as it is, or rebuilt from the lake and the stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from agentflow.contracts import Registry
from agentflow.errors import StorageError, UnavailableError
from ingestion.log.opening import open_log
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from ingestion.log.refill import REFILL
from ingestion.log.replica import ReplicaBatch
from ingestion.log.sqlite_log import SqliteLog
from ingestion.stream.port import FOLLOWED, Broker, TopicBounds
from processing.follow.accounting import AHEAD, BASE, FRONTIER, JUMPED, Accounts
from processing.follow.follower import FOLLOWER
from processing.lake import LakeReader
from processing.live.snapshot import SNAPSHOT_FILE
from processing.recovery.opening import Recovery
from processing.recovery.refill import refill_covered
from quality import Gate

log = structlog.get_logger()

ANOTHER_STREAM: Final = (
    "The stream lost what it held, or is another one: its offsets mean other events. Restore the "
    "broker's files, or use another prefix and another lake."
)
"""What to do about a stream that ends before what is known of it."""

_FROM_START: Final = "from_start"
_UNKNOWN: Final = "unknown"
_ASIDE: Final = "replica-of-another-stream.sqlite"


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica that is ready to be followed into.

    Attributes:
        settled: Whether its accounts know everything before their frontiers.
    """

    log: SqliteLog
    settled: bool
    recoveries: tuple[Recovery, ...]

    def stand(self) -> tuple[Mapping[str, int], Accounts]:
        """Return where to read on, and the accounts, as they are stored."""
        positions = {topic: at for (_, topic), at in self.log.positions([FOLLOWER]).items()}
        from_start = bool(self.log.position(_FROM_START, FOLLOWER))
        rows = self.log.positions([FRONTIER, BASE, JUMPED, AHEAD])
        return positions, Accounts.load(rows, from_start=from_start)


def open_replica(
    data_dir: Path, source: Broker, reader: LakeReader, registry: Registry, gate: Gate
) -> Replica:
    """Open the replica; one that is damaged, unfinished or too old is rebuilt.

    It holds nothing that is not elsewhere: everything the lake covers comes from there, the rest
    from the stream. Only a stream that lost what it held, or is another one, leaves a replica with
    more: that file is kept aside, and what is in neither lake nor stream is said to be lost.
    Without an answer from the stream, the replica is served as it is.

    Raises:
        UnavailableError: The broker does not answer, and there is no replica to serve from.
        StorageError: The stream does not fit the lake, or a file cannot be used.
    """
    cluster_id, bounds = source.cluster_id(), source.bounds()
    path = data_dir / "replica.sqlite"
    if cluster_id is None and not path.exists():
        raise UnavailableError(
            "the stream cannot be reached, and there is no replica to serve from yet",
            hint="Check that the broker runs, and the setting that says where; then start again.",
        )
    opened, reasons = _opened(path, cluster_id)
    reasons += [] if reasons else _unfit(opened, bounds)
    recoveries: tuple[Recovery, ...] = ()
    if reasons:
        alone = _held_alone(opened, cluster_id, bounds)
        opened.close()
        if cluster_id is None or bounds is None:
            raise UnavailableError(
                f"the replica is unusable ({'; '.join(reasons)}), and the stream does not answer",
                hint="Start a broker, then start again: the replica is rebuilt.",
            )
        _discard(data_dir, path, keep=alone is not None)
        opened, _ = _opened(path, cluster_id)
        recoveries = (_made_anew(reasons, alone, reader),)
    if not opened.positions([FOLLOWER]):
        if bounds is None:
            raise UnavailableError(
                "the replica holds nothing yet, and the stream does not answer",
                hint="Start a broker, then start again: the replica is filled.",
            )
        recoveries += _fill(opened, bounds, reader, registry, gate)
    return _ready(opened, recoveries)


def _opened(path: Path, cluster_id: str | None) -> tuple[SqliteLog, list[str]]:
    opened = open_log(path, new_id=lambda: cluster_id or _UNKNOWN, synchronous="NORMAL")
    reasons = list(opened.report.problems) if opened.report.damaged else []
    if cluster_id is not None and opened.log.log_id != cluster_id:
        reasons.append("it belongs to another stream")
    if opened.log.position(REFILL, VALIDATED):
        reasons.append("it was cut off while it was filled")
    return opened.log, reasons


def _unfit(replica: SqliteLog, bounds: Mapping[str, TopicBounds] | None) -> list[str]:
    """Say why the stream cannot be read on from where the replica ends."""
    stored = {topic: at for (_, topic), at in replica.positions([FOLLOWER]).items()}
    if not stored or bounds is None:
        return []
    reasons = []
    for topic in FOLLOWED:
        at, there = stored.get(topic, 0), bounds[topic]
        if at < there.start:
            reasons.append(f"{topic} begins at {there.start}, it had read to {at}")
        elif at > there.end:
            reasons.append(f"{topic} ends at {there.end}, it had read to {at}")
    return reasons


def _held_alone(
    replica: SqliteLog, cluster_id: str | None, bounds: Mapping[str, TopicBounds] | None
) -> int | None:
    """Return where a replica ends whose stream is another one now, or ends before it."""
    end = replica.end(VALIDATED)
    another = cluster_id is not None and replica.log_id != cluster_id
    behind = bounds is not None and bounds[VALIDATED].end < end
    return end if end and (another or behind) else None


def _made_anew(reasons: Sequence[str], alone: int | None, reader: LakeReader) -> Recovery:
    detail = f"replica rebuilt: {'; '.join(reasons)}"
    if alone is None:
        return Recovery("log", detail, lost=False)
    covered = reader.positions().validated
    if alone <= covered:
        return Recovery("log", f"{detail}; the old one is {_ASIDE}", lost=False)
    lost = f"events {covered} to {alone - 1} of it are not in the lake; they are in {_ASIDE}"
    return Recovery("log", f"{detail}; {lost}", lost=True)


def _discard(data_dir: Path, path: Path, *, keep: bool) -> None:
    """Remove the files of a replica, except what is kept under another name."""
    (data_dir / SNAPSHOT_FILE).unlink(missing_ok=True)
    for end in ("", "-wal", "-shm"):
        file = Path(f"{path}{end}")
        if keep and file.exists():
            file.replace(data_dir / f"{_ASIDE}{end}")
        file.unlink(missing_ok=True)


def _fill(
    replica: SqliteLog,
    bounds: Mapping[str, TopicBounds],
    reader: LakeReader,
    registry: Registry,
    gate: Gate,
) -> tuple[Recovery, ...]:
    refilled, held = refill_covered(replica, reader, registry, gate)
    covered = {VALIDATED: held.validated, DEAD_LETTERS: held.dead_letters}
    positions, recoveries = {}, []
    for topic in FOLLOWED:
        at, there = covered.get(topic, 0), bounds[topic]
        if at > there.end:
            raise StorageError(
                f"the lake covers {topic} to {at}, but the topic ends at {there.end}",
                hint=ANOTHER_STREAM,
            )
        if at < there.start and topic in covered:
            detail = f"{topic} {at} to {there.start - 1} are in neither the lake nor the stream"
            recoveries.append(Recovery("log", detail, lost=True))
        positions[topic] = max(at, there.start)
    from_start = not any(positions.values())
    rows: dict[tuple[str, str], int | None] = {
        (FOLLOWER, topic): offset for topic, offset in positions.items()
    }
    rows[_FROM_START, FOLLOWER] = int(from_start)
    rows[REFILL, VALIDATED] = 0
    replica.replicate(ReplicaBatch((), (), rows))
    log.info(
        "replica.filled",
        events=refilled.events,
        dead_letters=refilled.dead_letters,
        positions=positions,
    )
    return tuple(recoveries)


def _ready(replica: SqliteLog, recoveries: tuple[Recovery, ...]) -> Replica:
    from_start = bool(replica.position(_FROM_START, FOLLOWER))
    settled = from_start or bool(replica.positions([FRONTIER, BASE, JUMPED, AHEAD]))
    return Replica(replica, settled, recoveries)
