"""What every service has in common: ports that stay, processes, health, kill and restart."""

from __future__ import annotations

import json
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

from stack import install, leftovers, ports
from stack.errors import StackError
from stack.install import Program
from stack.probe import wait_until
from stack.process import TERM_WITHIN, Command, Process, wait_ready

PORTS_WITHIN = 5.0


class Service(ABC):
    """One service on loopback; subclasses say how it is installed, configured and asked.

    An object is a plan until `start` or `running` gives it a directory. Everything it writes
    (data, logs, pid files, `ports.json`) is in that directory, so a second start in the same
    directory has the same ports and data.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]] = ("port",)
    parts: ClassVar[tuple[str, ...]] = ()
    programs: ClassVar[tuple[Program, ...]] = ()
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    ready_within: ClassVar[float] = 300.0

    def __init__(self) -> None:
        self._directory: Path | None = None
        self._ports: dict[str, int] = {}
        self._detached = False
        self.processes: dict[str, Process] = {}

    def install(self) -> None:
        """Install what the service needs; quick when it is there."""
        install.programs(*self.programs)

    @property
    def archives(self) -> tuple[Path, ...]:
        """Archives of classes that its programs map; see `class_data`."""
        return ()

    @abstractmethod
    def prepare(self) -> None:
        """Write configuration and, the first time, format the data directory."""

    @abstractmethod
    def command(self, part: str) -> Command:
        """Return how to execute one of `parts` in the foreground."""

    @abstractmethod
    def healthy(self) -> bool:
        """Ask the running service, in its own protocol, whether it can be used."""

    @property
    @abstractmethod
    def addresses(self) -> Mapping[str, str]:
        """What clients need to reach it."""

    @contextmanager
    def running(self, directory: Path) -> Iterator[Self]:
        """Install, start and wait until healthy; stop at the end of the block."""
        self.start(directory)
        try:
            yield self
        finally:
            self.stop()

    def start(self, directory: Path, *, detached: bool = False) -> float:
        """Start in `directory` and return the seconds until it was healthy.

        Args:
            directory: Created when missing.
            detached: The service outlives this process.

        Raises:
            StackError: It cannot be installed, or did not become healthy.
        """
        self.install()
        leftovers.sweep()
        self.attach(directory)
        self._detached = detached
        self.kill()
        self._require_free_ports()
        self.prepare()
        return self._launch()

    def ensure(self, directory: Path, *, detached: bool = False) -> tuple[str, ...]:
        """Start the processes that are dead, leave the others alone, and wait until healthy.

        Args:
            directory: Created when missing.
            detached: What is started outlives this process.

        Returns:
            The names of the processes that were started.

        Raises:
            StackError: It cannot be installed, or did not become healthy.
        """
        self.install()
        leftovers.sweep()
        self.attach(directory)
        self._detached = detached
        dead = [each for each in self.processes.values() if not each.alive]
        if len(dead) == len(self.processes):
            self._require_free_ports()
            self.prepare()
            self._launch()
        else:
            for process in dead:
                process.start(detached=detached)
            self.wait_ready()
        return tuple(each.name for each in dead)

    def attach(self, directory: Path) -> Self:
        """Adopt a directory, with whatever runs there, without starting anything."""
        directory = directory.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._ports = self._remembered_ports()
        for part in self.parts or (self.name,):
            command = partial(self.command, part)
            self.processes[part] = Process(part, directory, command, stop_signal=self.stop_signal)
        return self

    @property
    def directory(self) -> Path:
        """Where it runs.

        Raises:
            StackError: It has never been started.
        """
        if self._directory is None:
            raise StackError(
                f'service "{self.name}" has no directory', fix="Use `with service.running(path):`."
            )
        return self._directory

    def port(self, name: str = "port") -> int:
        """Return a port by name; it stays the same over restarts."""
        self.directory  # noqa: B018 - raises when there is none
        return self._ports[name]

    @property
    def pid(self) -> int:
        """The pid of its (first) process."""
        return self._main.pid

    @property
    def pids(self) -> list[int]:
        """The pids of all its processes that run."""
        return [found.pid for each in self.processes.values() if (found := each.identity)]

    @property
    def log_path(self) -> Path:
        """The log of its (first) process."""
        return self._main.log_path

    @property
    def alive(self) -> bool:
        """True while all its processes run."""
        return bool(self.processes) and all(each.alive for each in self.processes.values())

    @property
    def memory_bytes(self) -> int:
        """The resident memory of its processes now."""
        found = [each.identity for each in self.processes.values()]
        return sum(identity.family_bytes() for identity in found if identity is not None)

    def kill(self) -> None:
        """SIGKILL, as a crash would: nothing is flushed, nothing is handed over."""
        for process in self.processes.values():
            process.kill()

    def stop(self, *, within: float = TERM_WITHIN) -> None:
        """SIGTERM, then SIGKILL for what has not ended in time."""
        for process in reversed(self.processes.values()):
            process.stop(within=within)

    def restart(self) -> float:
        """Start again on the same ports and data; return the seconds until it was healthy."""
        self.stop()
        self._require_free_ports()
        return self._launch()

    def wait_ready(self) -> None:
        """Wait until it is healthy: for who started one of several processes by itself.

        Raises:
            NotReadyError: One of them ended, or the deadline passed.
        """
        wait_ready(self.processes.values(), self.healthy, within=self.ready_within)

    def _launch(self) -> float:
        began = time.monotonic()
        for process in self.processes.values():
            process.start(detached=self._detached)
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return time.monotonic() - began

    @property
    def _main(self) -> Process:
        self.directory  # noqa: B018 - raises when there is none
        return next(iter(self.processes.values()))

    def _remembered_ports(self) -> dict[str, int]:
        path = self.directory / "ports.json"
        known: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        chosen = {name: known.get(name) or ports.choose() for name in self.port_names}
        if chosen != known:
            path.write_text(json.dumps(chosen))
        return chosen

    def _require_free_ports(self) -> None:
        values = self._ports.values()
        if not wait_until(lambda: all(map(ports.free, values)), within=PORTS_WITHIN):
            taken = [port for port in values if not ports.free(port)]
            raise StackError(
                f'service "{self.name}" cannot listen on {taken}: something else does',
                fix=f"Stop it (`ss -ltnp`), or remove {self.directory / 'ports.json'}.",
            )
