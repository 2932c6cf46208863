"""What `python -m stack` does: install, up, down, status."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from stack import state, topology
from stack.install import lock, programs
from stack.service import Service
from stack.state import Status

_WORTH_SAYING_SECONDS = 1.0


def install(names: Sequence[str]) -> int:
    """Download and install; quick when all is there."""
    wanted = topology.services(names)
    programs(*(each for service in wanted for each in service.programs))
    for service in wanted:
        began = time.monotonic()
        service.install()
        took = time.monotonic() - began
        if took > _WORTH_SAYING_SECONDS:
            _say(service, f"installed in {took:.1f} s")
    return 0


def up(directory: Path, names: Sequence[str], *, as_json: bool) -> int:
    """Start what does not run yet, and write who listens where."""
    with lock("up"):
        for service in topology.attach(directory, names):
            said = _start(service, directory / service.name)
            status = Status.of(service)
            state.write(directory, state.read(directory) | {service.name: status})
            _say(service, f"{said:<17} {status}")
    if as_json:
        sys.stdout.write(state.encode(state.read(directory)))
    return 0


def down(directory: Path, names: Sequence[str]) -> int:
    """Stop what runs, and nothing else of what it needs; data stays."""
    with lock("up"):
        known = state.read(directory)
        wanted = [name for name in known if not names or name in names]
        for service in reversed(topology.attach(directory, wanted) if wanted else []):
            if service.name in wanted:
                service.stop()
                _say(service, "stopped")
        state.write(directory, state.without(known, wanted))
    if not wanted:
        sys.stderr.write("nothing runs\n")
    return 0


def status(directory: Path, names: Sequence[str], *, as_json: bool) -> int:
    """Ask every service that was started how it is; 1 when one is not well."""
    wanted = [name for name in state.read(directory) if not names or name in names]
    if not wanted:
        sys.stderr.write("nothing runs: python -m stack up\n")
        return 1
    found = {each: Status.of(each) for each in topology.attach(directory, wanted)}
    if as_json:
        sys.stdout.write(state.encode({each.name: status for each, status in found.items()}))
    else:
        for service, status in found.items():
            _say(service, f"{'healthy' if status.healthy else 'DOWN':<17} {status}")
    return 0 if all(status.healthy for status in found.values()) else 1


def _start(service: Service, directory: Path) -> str:
    if service.alive and service.healthy():
        return "already running"
    return f"ready in {service.start(directory, detached=True):.1f} s"


def _say(service: Service, what: str) -> None:
    sys.stderr.write(f"{service.name:<12} {service.version:<31} {what}\n")
    sys.stderr.flush()
