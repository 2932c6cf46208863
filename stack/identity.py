"""Telling a process from a later one with the same pid."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


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

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the process group it leads, if it is still the same process."""
        if Identity.of(self.pid) == self:
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                return

    def group_bytes(self) -> int:
        """Return the resident memory of the process group it leads."""
        members = (entry for entry in _PROC.iterdir() if entry.name.isdigit())
        return sum(_resident(entry) for entry in members if self._leads(int(entry.name)))

    def _leads(self, pid: int) -> bool:
        fields = _stat(pid)
        return fields is not None and int(fields[2]) == self.pid


def _threads(pid: int) -> int:
    try:
        return sum(1 for _ in (_PROC / str(pid) / "task").iterdir())
    except OSError:
        return 0


def _resident(entry: Path) -> int:
    try:
        return int((entry / "statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0
