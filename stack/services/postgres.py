"""PostgreSQL 15 with logical decoding, as a source of change data."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping

from stack import install
from stack.home import LOOPBACK
from stack.install import Program
from stack.process import Command
from stack.service import Service

_BIN = "/usr/lib/postgresql/15/bin"
_PACKAGE = "postgresql-15"
_SERVER = Program("postgres", _PACKAGE, _BIN)
_READY = Program("pg_isready", _PACKAGE, _BIN)
_CREATE = Program("initdb", _PACKAGE, _BIN)
_CLIENT = Program("psql", _PACKAGE, _BIN)
_SETTINGS = {
    "wal_level": "logical",
    "max_replication_slots": 20,
    "max_wal_senders": 20,
    "max_connections": 60,
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    # The kernel keeps what was written when a process is killed; only a power cut would lose it.
    "fsync": "off",
    "timezone": "UTC",
}


class Postgres(Service):
    """One cluster; user `postgres`, whom loopback trusts without a password."""

    name = "postgres"
    version = "15"
    programs = (_SERVER, _READY, _CREATE, _CLIENT)
    stop_signal = signal.SIGINT  # SIGTERM would wait for its clients to leave
    user = "postgres"
    password = "unused"  # noqa: S105 - loopback is trusted; clients insist on sending one

    def dsn(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://{self.user}@{LOOPBACK}:{self.port()}/{database}"

    @property
    def addresses(self) -> Mapping[str, str]:
        """The URL of the database that is always there."""
        return {"dsn": self.dsn()}

    def execute(self, sql: str, *, database: str = "postgres") -> str:
        """Run statements with psql and return its rows, without header, `|` between columns.

        Statements are sent one by one, so that CREATE DATABASE is allowed among them.

        Raises:
            StackError: One failed.
        """
        options = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.dsn(database))
        return install.run([_CLIENT.path, *options], within=60, fix="Correct the SQL.", stdin=sql)

    def prepare(self) -> None:
        """Make the cluster, once, and write this start's settings."""
        data = self.directory / "data"
        if not (data / "PG_VERSION").exists():
            self._initialise()
        settings = _SETTINGS | {
            "port": self.port(),
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
        }
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        (data / "postgresql.auto.conf").write_text("".join(lines))

    def command(self, part: str) -> Command:
        """Run the server."""
        del part
        server = (_SERVER.path, "-D", str(self.directory / "data"))
        return Command((*_not_root(), *server))

    def healthy(self) -> bool:
        """Ask pg_isready: it tells "starting up" from "accepting connections"."""
        argv = [_READY.path, "-q", "-h", LOOPBACK, "-p", str(self.port()), "-t", "2"]
        return subprocess.run(argv, check=False, stdin=subprocess.DEVNULL).returncode == 0

    def _initialise(self) -> None:
        data = self.directory / "data"
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            _give_to_postgres(data)
        options = ("-D", str(data), "-U", self.user, "-A", "trust", "--no-sync", "-E", "UTF8")
        install.run(
            [*_not_root(), _CREATE.path, *options, "--locale=C.UTF-8"],
            within=60,
            fix=f"Remove {data} and start again.",
        )


def _give_to_postgres(data: os.PathLike[str]) -> None:
    import pwd

    account = pwd.getpwnam("postgres")
    os.chown(data, account.pw_uid, account.pw_gid)


def _not_root() -> tuple[str, ...]:
    """Return the words that make the server run as `postgres` when we are root: it insists.

    The one capability that is kept lets it walk into our directories (a temporary directory of
    pytest is open to its owner alone), so that nobody's permissions have to be changed.
    """
    if os.geteuid() != 0:
        return ()
    return (
        *("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"),
        *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
    )
