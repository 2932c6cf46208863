"""A platform in a process of its own, started the way everybody starts it: `agentflow up`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.bench.world import CONTRACTS, SCRATCH

KEY = "bench-key"
_STOP_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Served:
    """A server under measurement."""

    host: str
    port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Return the processor time it has used, in all threads, kernel included."""
        used = self.process.cpu_times()
        return float(used.user + used.system)

    def rss_mib(self) -> float:
        """Return the memory it holds now."""
        return float(self.process.memory_info().rss) / 2**20


@contextmanager
def platform_server(
    *,
    before: str = "pass",
    settings: Mapping[str, str] | None = None,
    contracts: Path = CONTRACTS,
) -> Iterator[Served]:
    """Run the platform on an empty data directory, with an API key and a rate limit in force.

    *before* is Python that is run first in its process; *settings* are added to its own.
    """
    SCRATCH.mkdir(parents=True, exist_ok=True)
    data_dir = tempfile.mkdtemp(prefix="data-", dir=SCRATCH)
    command = [
        *(
            sys.executable,
            "-c",
            f"{before}; from agentflow_cli import main; main()",
            "up",
            "--json",
        ),
        *("--port", "0", "--data-dir", data_dir, "--contracts-dir", str(contracts)),
    ]
    own = {"AGENTFLOW_API_KEYS": f"{KEY}:default", "AGENTFLOW_RATE_LIMIT": "1000000000"}
    try:
        with child(command, {**own, **(settings or {})}) as (process, line):
            address = urlsplit(json.loads(line)["url"])
            yield Served(address.hostname or "", address.port or 0, psutil.Process(process.pid))
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)


@contextmanager
def child(
    command: Sequence[str], settings: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a process that says on its first line that it is ready; stop it afterwards."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **settings},
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"it did not start: {' '.join(command)}")
        yield process, line
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
