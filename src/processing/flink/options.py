"""Flink's configuration for low latency, as a pure function of the settings."""

from __future__ import annotations

import sys
from datetime import timedelta

from processing.flink.settings import GateSettings, JobSettings, SessionSettings


def options(settings: JobSettings) -> dict[str, str]:
    """Return Flink's options by dotted name.

    Each was measured: docs/adr/0014. A full buffer, a copy between operators and a Python process
    beside the task are what a record must not wait for; operator ids must not depend on luck.
    """
    found = {
        "pipeline.name": settings.name,
        "pipeline.object-reuse": "true",
        "parallelism.default": str(settings.parallelism),
        "python.execution-mode": settings.mode,
        "state.backend.type": settings.state_backend,
        "table.exec.uid.generation": "ALWAYS",
        "table.exec.sink.upsert-materialize": "NONE",
        "table.optimizer.reuse-optimize-block-with-digest-enabled": "true",
        "table.local-time-zone": "UTC",
        **_own(settings),
        **_checkpoints(settings),
    }
    if settings.mode == "process":
        # Of a thread it would only be a timer that fires a thousand times a second.
        found["python.fn-execution.bundle.time"] = "1"
    if settings.cluster is None:
        found["python.executable"] = found["python.client.executable"] = sys.executable
    return found


def _own(settings: JobSettings) -> dict[str, str]:
    match settings:
        case GateSettings():
            return {
                "execution.buffer-timeout.interval": "0 ms",
                "table.exec.state.ttl": milliseconds(settings.ttl),
                # Sinks of a checkpoint of an earlier version have other ids, and no state that
                # matters: they write at least once. The source and the count keep theirs.
                "execution.state-recovery.ignore-unclaimed-state": "true",
            }
        case SessionSettings():
            return {"table.exec.source.idle-timeout": milliseconds(settings.idle)}
        case _:
            return {}


def _checkpoints(settings: JobSettings) -> dict[str, str]:
    """Return what makes a job go on after a failure, from where it was."""
    found = {
        "execution.checkpointing.interval": milliseconds(settings.checkpoint_interval),
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.min-pause": "200 ms",
        "execution.checkpointing.tolerable-failed-checkpoints": "100",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "100 ms",
        "restart-strategy.exponential-delay.max-backoff": "10 s",
    }
    if settings.checkpoint_directory is not None:
        found["execution.checkpointing.dir"] = settings.checkpoint_directory
    if settings.from_checkpoint is not None:
        found["execution.state-recovery.path"] = settings.from_checkpoint
    return found


def milliseconds(length: timedelta) -> str:
    """Write a length of time the way Flink reads it.

    >>> milliseconds(timedelta(seconds=1.5))
    '1500 ms'
    """
    return f"{length // timedelta(milliseconds=1)} ms"
