"""Telling a process from a later one with the same pid."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PROC = Path("/proc")


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat after the name, which may hold anything."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


@dataclass(frozen=True, slots=True)
class Identity:
    """A pid with the moment it started, in clock ticks since boot: unique until the next boot."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Return the identity of a process that runs; None for one that ended."""
        fields = _stat(pid)
        return None if fields is None else cls(pid, int(fields[19]))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what `str` wrote; None for anything else."""
        try:
            pid, started = map(int, text.split())
        except ValueError:
            return None
        return cls(pid, started)

    def __str__(self) -> str:
        return f"{self.pid} {self.started}"

    @property
    def alive(self) -> bool:
        """True while this very process runs.

        A zombie does not, unless threads of it are still ending: they hold its ports and files.
        """
        fields = _stat(self.pid)
        if fields is None or int(fields[19]) != self.started:
            return False
        return fields[0] not in "ZX" or _threads(self.pid) > 1

    def send(self, number: signal.Signals) -> None:
        """Signal it, if the pid still is the same process."""
        if Identity.of(self.pid) == self:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def family(self) -> list[Identity]:
        """Return it and its descendants: a process group would miss those that leave it.

        PostgreSQL's backends do, and hold shared memory that keeps the next start from working.
        """
        parents = {
            int(entry.name): int(fields[1])
            for entry in _PROC.iterdir()
            if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None
        }
        found = [self.pid]
        for pid in found:  # grows while it is walked
            found += [child for child, parent in parents.items() if parent == pid]
        members = map(Identity.of, found[1:])
        return [self, *(member for member in members if member is not None)]

    def kill_family(self) -> list[Identity]:
        """SIGKILL it and its descendants; return them, so that their end can be awaited."""
        members = self.family()
        for member in members:
            member.send(signal.SIGKILL)
        return members

    def family_bytes(self) -> int:
        """Return the memory that would be free without it: shared pages count in parts (PSS)."""
        return sum(_proportional(member.pid) for member in self.family())


def _threads(pid: int) -> int:
    try:
        return sum(1 for _ in (_PROC / str(pid) / "task").iterdir())
    except OSError:
        return 0


def _proportional(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith("Pss:")]
    return int(found[0]) * 1024 if found else 0
