"""The supervisor of one process: own session, log and pid file; stopped by identity alone."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stack import leftovers
from stack.errors import NotReadyError, StackError
from stack.identity import Identity
from stack.probe import wait_until

TERM_WITHIN = 20.0
_KILL_WITHIN = 10.0
_YIELDS_WITHIN = 5.0
_LOG_TAIL_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute.

    Attributes:
        environment: Added to ours.
        niceness: How much it yields to other processes, from 0 to 19, as `nice(1)` counts.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    niceness: int = 0


class Process:
    """One process of a service.

    Safe to use from one thread at a time. A second object for the same name and directory sees
    the same process, because what identifies it is in the pid file.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        command: Callable[[], Command],
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log_path = directory / f"{name}.log"
        self._pid_path = directory / f"{name}.pid"
        self._command = command
        self._stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def identity(self) -> Identity | None:
        """Who runs now; None when nobody does."""
        if self._child is not None:
            self._child.poll()  # reaps it, so that it does not stay as a zombie
        try:
            found = Identity.parse(self._pid_path.read_text())
        except OSError:
            return None
        return found if found is not None and found.alive else None

    @property
    def alive(self) -> bool:
        """True while the process runs."""
        return self.identity is not None

    @property
    def pid(self) -> int:
        """The pid.

        Raises:
            StackError: It does not run.
        """
        if (found := self.identity) is None:
            raise StackError(f'process "{self.name}" does not run', fix=f"Read {self.log_path}.")
        return found.pid

    def start(self, *, detached: bool = False) -> None:
        """Start it; what a run that was cut off left behind under this name is killed first.

        Args:
            detached: Outlives us. Otherwise the next start of any service sweeps it away when
                we died without stopping it.
        """
        self.kill()
        command = self._command()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._child = subprocess.Popen(
                (*_nice(command.niceness), *command.argv),
                env={**os.environ, **command.environment},
                cwd=self.log_path.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if command.niceness:
            _yield_session(self._child.pid, command.niceness)
        identity = Identity.of(self._child.pid)
        if identity is not None:
            self._pid_path.write_text(str(identity))
            if not detached:
                leftovers.record(identity)

    def log_tail(self) -> str:
        """Return the end of the log."""
        try:
            return self.log_path.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        except OSError:
            return ""

    def kill(self) -> None:
        """SIGKILL it and its descendants; nothing happens when it does not run."""
        if (identity := self.identity) is not None:
            self._forget_when_gone(identity, identity.kill_family(), within=_KILL_WITHIN)

    def stop(self, *, within: float = TERM_WITHIN) -> None:
        """Ask the process to end; kill it, and what it leaves behind, when that does not help."""
        if (identity := self.identity) is None:
            return
        members = identity.family()
        identity.send(self._stop_signal)
        if not self._forget_when_gone(identity, members, within=within):
            self.kill()
            for member in members:
                member.send(signal.SIGKILL)

    def _forget_when_gone(
        self, identity: Identity, members: list[Identity], *, within: float
    ) -> bool:
        def gone() -> bool:
            return not self.alive and not any(member.alive for member in members)

        if done := wait_until(gone, within=within):
            if self._child is not None:
                self._child.wait(within)  # it may have ended after it was asked for last
            self._pid_path.unlink(missing_ok=True)
            leftovers.forget(identity)
        return done


def _nice(niceness: int) -> tuple[str, ...]:
    return ("nice", "-n", str(niceness)) if niceness else ()


def _yield_session(pid: int, niceness: int) -> None:
    """Let the session of a process yield as well, where the kernel shares cores by session.

    There (`sched_autogroup_enabled`, see sched(7)) niceness counts only within a session, and each
    process of ours has one of its own. It may be set ten times a second.
    """
    group = Path(f"/proc/{pid}/autogroup")

    def yields() -> bool:
        try:
            group.write_text(str(niceness))
        except BlockingIOError:
            return False
        except OSError:
            return True  # it ended, or the kernel knows no such groups
        return True

    wait_until(yields, within=_YIELDS_WITHIN)


def wait_ready(
    processes: Collection[Process], healthy: Callable[[], bool], *, within: float
) -> None:
    """Wait until `healthy()`, but not longer than all the processes live.

    Raises:
        NotReadyError: One ended, or the deadline passed; with the end of the log.
    """
    ended: list[Process] = []

    def settled() -> bool:
        ended[:] = [each for each in processes if not each.alive]
        return bool(ended) or healthy()

    in_time = wait_until(settled, within=within)
    if ended or not in_time:
        guilty = ended[0] if ended else next(iter(processes))
        why = "ended" if ended else f"was not healthy within {within:.0f} s"
        raise NotReadyError(
            f'process "{guilty.name}" {why}:\n{guilty.log_tail()}', fix=f"Read {guilty.log_path}."
        )
