"""The configuration of the session cluster, as a pure function of ports, memory and paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.home import LOOPBACK


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes per purpose; the TaskManager is told all of them, because nothing derives them."""

    job_heap_mb: int = 384
    task_heap_mb: int = 512
    framework_heap_mb: int = 128
    framework_off_heap_mb: int = 128
    task_off_heap_mb: int = 64
    network_mb: int = 64
    managed_mb: int = 128
    metaspace_mb: int = 256
    overhead_mb: int = 192

    @property
    def direct_mb(self) -> int:
        """What a process may take outside its heap by itself."""
        return self.framework_off_heap_mb + self.task_off_heap_mb + self.network_mb


def settings(
    *, ports: Mapping[str, int], slots: int, memory: Memory, python: Path, directory: Path
) -> dict[str, object]:
    """Return Flink's configuration by dotted name."""
    return (
        _network(ports)
        | _memory(memory, slots)
        | _recovery(directory)
        | _latency()
        | {
            "python.executable": python,
            "python.client.executable": python,
            "python.execution-mode": "thread",
            "classloader.check-leaked-classloader": False,
            "classloader.parent-first-patterns.additional": "pemja.",
            "parallelism.default": 1,
            "taskmanager.numberOfTaskSlots": slots,
            "io.tmp.dirs": directory / "tmp",
        }
    )


def _network(ports: Mapping[str, int]) -> dict[str, object]:
    """Return addresses: loopback, and every port one that stays over a restart."""
    return {
        "jobmanager.bind-host": LOOPBACK,
        "jobmanager.rpc.address": LOOPBACK,
        "jobmanager.rpc.port": ports["rpc"],
        "blob.server.port": ports["blob"],
        "rest.address": LOOPBACK,
        "rest.bind-address": LOOPBACK,
        "rest.port": ports["rest"],
        "rest.bind-port": ports["rest"],
        "taskmanager.bind-host": LOOPBACK,
        "taskmanager.host": LOOPBACK,
        "taskmanager.rpc.port": ports["task_rpc"],
        "taskmanager.data.port": ports["task_data"],
    }


def _memory(memory: Memory, slots: int) -> dict[str, object]:
    return {
        "taskmanager.cpu.cores": float(slots),
        "taskmanager.memory.framework.heap.size": f"{memory.framework_heap_mb}m",
        "taskmanager.memory.framework.off-heap.size": f"{memory.framework_off_heap_mb}m",
        "taskmanager.memory.task.heap.size": f"{memory.task_heap_mb}m",
        "taskmanager.memory.task.off-heap.size": f"{memory.task_off_heap_mb}m",
        "taskmanager.memory.network.min": f"{memory.network_mb}m",
        "taskmanager.memory.network.max": f"{memory.network_mb}m",
        "taskmanager.memory.managed.size": f"{memory.managed_mb}m",
        "taskmanager.memory.jvm-metaspace.size": f"{memory.metaspace_mb}m",
        "taskmanager.memory.jvm-overhead.min": f"{memory.overhead_mb}m",
        "taskmanager.memory.jvm-overhead.max": f"{memory.overhead_mb}m",
    }


def _recovery(directory: Path) -> dict[str, object]:
    """Return what makes a killed TaskManager noticed in a second and its job restart soon."""
    return {
        "heartbeat.interval": 500,
        "heartbeat.timeout": 10_000,
        "heartbeat.rpc-failure-threshold": 1,
        # Ten seconds are too few for a TaskManager that yields to others on a busy machine.
        "pekko.startup-timeout": "120 s",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 1000,
        # Attempts without a TaskManager cost CPU that its start needs (90 of them at 100 ms).
        "restart-strategy.fixed-delay.delay": "500 ms",
        "execution.checkpointing.dir": (directory / "checkpoints").as_uri(),
        "execution.checkpointing.savepoint-dir": (directory / "savepoints").as_uri(),
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
    }


def _latency() -> dict[str, object]:
    """Return what a record must not wait for: a full buffer, or a defensive copy."""
    return {"execution.buffer-timeout.interval": "0 ms", "pipeline.object-reuse": True}
