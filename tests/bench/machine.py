"""What the numbers were measured on, and what else was running there."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from tests.bench.figures import Context

_YARDSTICK_ROUNDS = 9
_YARDSTICK_STEPS = 300_000


def processor() -> str:
    """Return the processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def load_average() -> float:
    """Return how many tasks wanted a core over the last minute."""
    return round(os.getloadavg()[0], 2)


def yardstick_ns() -> float:
    """Return the processor time of one step of a fixed loop in Python, the best of several.

    Absolute numbers of two runs can be compared once each is divided by this.
    """
    best = float("inf")
    for _ in range(_YARDSTICK_ROUNDS):
        begun, total = time.process_time_ns(), 0
        for number in range(_YARDSTICK_STEPS):
            total += number
        best = min(best, (time.process_time_ns() - begun) / _YARDSTICK_STEPS)
    return round(best, 1)


def machine() -> Context:
    """Describe the machine and the moment."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": float(os.cpu_count() or 1),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "uvicorn": version("uvicorn"),
        "yardstick_ns": yardstick_ns(),
        "load_before": load_average(),
    }


def compiler_seconds(pids: Iterable[int]) -> float:
    """Return the processor time that Java's compilers have taken in some processes."""
    ticks = 0
    for pid in pids:
        for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
            try:
                head, _, rest = stat.read_text().rpartition(")")
            except OSError:
                continue  # the thread has ended
            if "CompilerThre" in head:
                user, system = rest.split()[11:13]
                ticks += int(user) + int(system)
    return ticks / os.sysconf("SC_CLK_TCK")
