"""The platform of this checkout, serving from the stream."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from stack import probe
from stack.home import LOOPBACK
from stack.process import Command
from stack.service import Service

_MAIN = "from agentflow_cli import main; main()"


class Api(Service):
    """`agentflow up` as a process of its own; its data directory is a replica that may be lost."""

    name = "api"
    version = "this checkout"

    def __init__(self, contracts: Path, environment: Callable[[], Mapping[str, str]]) -> None:
        """Plan a platform.

        Args:
            contracts: The directory of its contracts.
            environment: Returns its settings, `AGENTFLOW_…`, when it starts.
        """
        super().__init__()
        self._contracts = contracts.absolute()
        self._environment = environment

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{LOOPBACK}:{self.port()}"

    @property
    def data_directory(self) -> Path:
        """Where its replica is."""
        return self.directory / "data"

    @property
    def addresses(self) -> Mapping[str, str]:
        """Page and API."""
        return {"url": self.url}

    def install(self) -> None:
        """Nothing: it runs in the environment we run in."""

    def prepare(self) -> None:
        """Nothing: it makes its own directories."""

    def command(self, part: str) -> Command:
        """Run it with the interpreter that we run with."""
        del part
        options = ("--port", str(self.port()), "--data-dir", str(self.data_directory))
        where = ("--contracts-dir", str(self._contracts))
        return Command((sys.executable, "-c", _MAIN, "up", *options, *where), self._environment())

    def healthy(self) -> bool:
        """Ask whether live state is complete."""
        return probe.http_status(f"{self.url}/v1/health/ready") == probe.OK
