"""`stack.json`: who runs where, for people and for programs that only need an address."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from stack.service import Service

_FILE = "stack.json"


@dataclass(frozen=True, slots=True)
class Status:
    """One service, as it was when it was asked."""

    version: str
    addresses: Mapping[str, str]
    pids: list[int]
    logs: list[str]
    memory_bytes: int
    healthy: bool

    @classmethod
    def of(cls, service: Service) -> Self:
        """Ask a service."""
        return cls(
            version=service.version,
            addresses=dict(service.addresses),
            pids=service.pids,
            logs=[str(process.log_path) for process in service.processes.values()],
            memory_bytes=service.memory_bytes,
            healthy=service.alive and service.healthy(),
        )

    def __str__(self) -> str:
        memory = f"{self.memory_bytes // 1024**2} MB"
        places = " ".join(f"{name}={value}" for name, value in self.addresses.items())
        return f"{memory:>7}  {places}"


def read(directory: Path) -> dict[str, Status]:
    """Return what was started in `directory` and not stopped."""
    path = directory / _FILE
    known = json.loads(path.read_text()) if path.exists() else {}
    return {name: Status(**state) for name, state in known.items()}


def write(directory: Path, states: Mapping[str, Status]) -> None:
    """Keep what runs; no file when nothing does."""
    path = directory / _FILE
    if states:
        path.write_text(encode(states))
    else:
        path.unlink(missing_ok=True)


def encode(states: Mapping[str, Status]) -> str:
    """Return the JSON text."""
    return json.dumps({name: asdict(state) for name, state in states.items()}, indent=2) + "\n"


def without(states: Mapping[str, Status], names: Iterable[str]) -> dict[str, Status]:
    """Return the states of all other services."""
    left_out = set(names)
    return {name: state for name, state in states.items() if name not in left_out}
