"""Redis, with an append-only file: what was answered survives `kill -9`."""

from __future__ import annotations

from collections.abc import Mapping

from stack import probe
from stack.home import LOOPBACK
from stack.install import Program
from stack.process import Command
from stack.service import Service

_SERVER = Program("redis-server", "redis-server")


class Redis(Service):
    """One server of 128 MB at most, which writes before it answers and evicts nothing."""

    name = "redis"
    version = "7.0"
    programs = (_SERVER,)

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"redis://{LOOPBACK}:{self.port()}/0"

    @property
    def addresses(self) -> Mapping[str, str]:
        """The URL."""
        return {"url": self.url}

    def prepare(self) -> None:
        """Make the data directory."""
        (self.directory / "data").mkdir(exist_ok=True)

    def command(self, part: str) -> Command:
        """Run the server."""
        del part
        options = {
            "bind": LOOPBACK,
            "port": self.port(),
            "dir": self.directory / "data",
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory": "128mb",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        arguments = (word for key, value in options.items() for word in (f"--{key}", str(value)))
        return Command((_SERVER.path, *arguments))

    def healthy(self) -> bool:
        """PING: a server that still loads its file answers with an error."""
        try:
            with probe.connect(self.port()) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16) == b"+PONG\r\n"
        except OSError:
            return False
