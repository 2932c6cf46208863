"""The live state on disk, so that a restart need not read the whole lake.

A snapshot is disposable: it carries a checksum, the log it belongs to and the fingerprint of every
metric. Anything that does not fit is ignored, and the state is rebuilt from the lake and the log.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

import msgspec

from agentflow.metrics.rolling import StateImage
from processing.live.engine import LiveEngine, MetricId

_MAGIC = b"agentflow-live-2\n"
_DIGEST_SIZE_BYTES = 16


class _MetricImage(msgspec.Struct, frozen=True, array_like=True):
    tenant: str
    name: str
    version: int
    fingerprint: str
    state: StateImage


class _Snapshot(msgspec.Struct, frozen=True):
    log_id: str
    next_offset: int
    watermark_us: dict[str, int]
    metrics: list[_MetricImage]


def dump(engine: LiveEngine, *, log_id: str, fingerprints: Mapping[MetricId, str]) -> bytes:
    """Return the state of *engine* as bytes; runs where the engine runs."""
    metrics = [
        _MetricImage(tenant, *metric, fingerprints[metric], engine.settled(metric, tenant).dump())
        for tenant in engine.tenants()
        for metric in engine.plans
    ]
    snapshot = _Snapshot(log_id, engine.next_offset, engine.watermark_us, metrics)
    body = msgspec.msgpack.encode(snapshot)
    return _MAGIC + blake2b(body, digest_size=_DIGEST_SIZE_BYTES).digest() + body


def write(path: Path, content: bytes) -> None:
    """Replace the snapshot file, durably and whole or not at all."""
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def restore(
    engine: LiveEngine,
    content: bytes,
    *,
    log_id: str,
    fingerprints: Mapping[MetricId, str],
    end: int,
) -> str | None:
    """Load a snapshot into an empty *engine*; return why not, or None when it worked.

    A metric the snapshot lacks, or whose meaning changed, makes the whole snapshot unfit: the
    rebuild that is needed anyway brings every metric to the same offset.
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
    for image in snapshot.metrics:
        engine.state((image.name, image.version), image.tenant).load(image.state)
    engine.next_offset = snapshot.next_offset
    engine.watermark_us = dict(snapshot.watermark_us)
    return None
