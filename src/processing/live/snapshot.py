"""The live state on disk, so that a restart need not read the whole lake.

A snapshot is disposable: it carries a checksum, the log it belongs to and the fingerprint of every
metric. Anything that does not fit is ignored, and the state is rebuilt from the lake and the log.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec

from agentflow.errors import StorageCorruptError, UnknownContractError
from agentflow.events import Event, EventRef
from agentflow.metrics.rolling import StateImage
from processing.live.corrections import Cause
from processing.live.engine import LiveEngine, MetricId
from quality.gate import Gate

SNAPSHOT_FILE = "live.snapshot"
_MAGIC = b"agentflow-live-5\n"
_DIGEST_SIZE_BYTES = 16


class _EventImage(msgspec.Struct, frozen=True, array_like=True):
    type: str
    version: int
    record: bytes


class _CauseImage(msgspec.Struct, frozen=True, array_like=True):
    """Indexes into the snapshot's events; a correction also has what counted before and after."""

    event: int
    correction: bool = False
    before: int | None = None
    after: int | None = None


class _MetricImage(msgspec.Struct, frozen=True, array_like=True):
    tenant: str
    name: str
    version: int
    fingerprint: str
    state: StateImage
    causes: list[_CauseImage]


class _Snapshot(msgspec.Struct, frozen=True):
    log_id: str
    next_offset: int
    watermark_us: dict[str, int]
    metrics: list[_MetricImage]
    events: list[_EventImage]
    arrivals: dict[str, dict[str, list[int]]] = {}


class _Events:
    """The events that caused something, each stored once: one event moves many metrics."""

    def __init__(self, gate: Gate) -> None:
        self.images: list[_EventImage] = []
        self._gate = gate
        self._places: dict[int, int] = {}
        self._held: list[Event] = []  # keeps the ids in `_places` from being used again

    def cause(self, cause: object) -> _CauseImage:
        """Return the image of a cause."""
        if isinstance(cause, Cause):
            before, after = self._optional(cause.before), self._optional(cause.after)
            return _CauseImage(self._place(cause.event), True, before, after)  # noqa: FBT003
        assert isinstance(cause, Event)  # noqa: S101 - the engine records nothing else
        return _CauseImage(self._place(cause))

    def _optional(self, event: Event | None) -> int | None:
        return None if event is None else self._place(event)

    def _place(self, event: Event) -> int:
        place = self._places.get(id(event))
        if place is None:
            place = self._places[id(event)] = len(self.images)
            self._held.append(event)
            self.images.append(_EventImage(event.type, event.version, self._gate.encode(event)))
        return place


def dump(
    engine: LiveEngine, *, log_id: str, fingerprints: Mapping[MetricId, str], gate: Gate
) -> bytes:
    """Return the state of *engine* as bytes; runs where the engine runs."""
    events = _Events(gate)
    metrics = []
    for tenant in engine.tenants():
        for metric in engine.plans:
            state = engine.settled(metric, tenant)
            causes = [events.cause(cause) for cause in state.causes]
            image = _MetricImage(tenant, *metric, fingerprints[metric], state.dump(), causes)
            metrics.append(image)
    snapshot = _Snapshot(
        log_id, engine.next_offset, engine.watermark_us, metrics, events.images, engine.arrivals
    )
    body = msgspec.msgpack.encode(snapshot)
    return _MAGIC + blake2b(body, digest_size=_DIGEST_SIZE_BYTES).digest() + body


def write(path: Path, content: bytes) -> None:
    """Replace the snapshot file, durably and whole or not at all."""
    temporary = path.with_suffix(".new")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)  # a full disk must not be kept full by what did not fit
        raise
    temporary.replace(path)


def restore(
    engine: LiveEngine,
    content: bytes,
    *,
    log_id: str,
    fingerprints: Mapping[MetricId, str],
    gate: Gate,
    end: int,
) -> str | None:
    """Load a snapshot into an empty *engine*; return why not, or None when it worked.

    A metric the snapshot lacks, or whose meaning changed, makes the whole snapshot unfit: the
    rebuild that is needed anyway brings every metric to the same offset.

    Args:
        engine: Without any state yet; untouched when the snapshot does not fit.
        content: What `dump` returned.
        log_id: The log the engine follows.
        fingerprints: The meaning of every metric now.
        gate: Decodes the events that caused the last moves.
        end: The end of the log.
    """
    head = len(_MAGIC) + _DIGEST_SIZE_BYTES
    body = content[head:]
    digest = blake2b(body, digest_size=_DIGEST_SIZE_BYTES).digest()
    if content[: len(_MAGIC)] != _MAGIC or content[len(_MAGIC) : head] != digest:
        return "the snapshot is damaged or of another version"
    snapshot = msgspec.msgpack.decode(body, type=_Snapshot)
    if snapshot.log_id != log_id:
        return "the snapshot belongs to another log"
    if snapshot.next_offset > end:
        return "the log ends before the snapshot"
    held = {((image.name, image.version), image.fingerprint) for image in snapshot.metrics}
    if snapshot.metrics and held != set(fingerprints.items()):
        return "the contracts changed since the snapshot"
    try:
        events = [_decoded(image, gate) for image in snapshot.events]
    except (UnknownContractError, StorageCorruptError):
        return "the contracts changed since the snapshot"
    for image in snapshot.metrics:
        state = engine.state((image.name, image.version), image.tenant)
        state.load(image.state)
        state.causes.extend(_cause(cause, events) for cause in image.causes)
    engine.next_offset = snapshot.next_offset
    engine.watermark_us = dict(snapshot.watermark_us)
    engine.arrivals = snapshot.arrivals
    return None


def _decoded(image: _EventImage, gate: Gate) -> Event:
    return gate.decode(EventRef(image.type, image.version), image.record)


def _cause(image: _CauseImage, events: Sequence[Event]) -> Event | Cause:
    event = events[image.event]
    if not image.correction:
        return event
    before, after = (
        None if place is None else events[place] for place in (image.before, image.after)
    )
    return Cause(event, before, after)
