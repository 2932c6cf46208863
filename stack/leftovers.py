"""Sweeping away services whose owner died before it could stop them (`kill -9` of a test run)."""

from __future__ import annotations

import os
from pathlib import Path

from stack.home import home
from stack.identity import Identity


def _register() -> Path:
    return home() / "processes"


def _entry(identity: Identity) -> Path:
    return _register() / f"{identity.pid}-{identity.started}"


def record(identity: Identity) -> None:
    """Note that this process owns that one."""
    owner = Identity.of(os.getpid())
    _register().mkdir(parents=True, exist_ok=True)
    _entry(identity).write_text(f"{identity}\n{owner}")


def forget(identity: Identity) -> None:
    """Drop the note: it ended."""
    _entry(identity).unlink(missing_ok=True)


def sweep() -> list[Identity]:
    """Kill what has lost its owner; return what was killed.

    Both sides are told apart by pid and start time, so a pid that now belongs to another process
    is never signalled.
    """
    killed = []
    for entry in sorted(_register().glob("*")):
        try:
            process, owner = map(Identity.parse, entry.read_text().split("\n"))
        except (OSError, ValueError):
            continue  # being written, or just removed
        if process is None or not process.alive:
            entry.unlink(missing_ok=True)
        elif owner is not None and not owner.alive:
            process.kill_family()
            killed.append(process)
            entry.unlink(missing_ok=True)
    return killed
