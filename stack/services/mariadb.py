"""MariaDB 10.11 with row-based binary logs, as a source of change data."""

from __future__ import annotations

import os
from collections.abc import Mapping

from stack import install, probe
from stack.home import LOOPBACK
from stack.install import Program
from stack.process import Command
from stack.service import Service

_PACKAGE = "mariadb-server-core"
_SERVER = Program("mariadbd", _PACKAGE, "/usr/sbin")
_CREATE = Program("mariadb-install-db", _PACKAGE)
_CLIENT = Program("mariadb", "mariadb-client-core")
_GREETING_VERSION = 10
_ACCOUNT = """\
CREATE USER IF NOT EXISTS '{user}'@'127.0.0.1' IDENTIFIED BY '{password}';
CREATE DATABASE IF NOT EXISTS test;
GRANT ALL PRIVILEGES ON *.* TO '{user}'@'127.0.0.1' WITH GRANT OPTION;
"""


class MariaDb(Service):
    """One server with an account that may do everything, over TCP."""

    name = "mariadb"
    version = "10.11"
    programs = (_SERVER, _CREATE, _CLIENT)
    user = "agentflow"
    password = "agentflow-loopback"  # noqa: S105 - of a server that only loopback reaches

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self.port()}"

    @property
    def addresses(self) -> Mapping[str, str]:
        """The address and who may log in."""
        return {"address": self.address, "user": self.user, "password": self.password}

    def execute(self, sql: str, *, database: str = "test") -> str:
        """Run statements with the command-line client; return its rows, tab between columns.

        Raises:
            StackError: One failed.
        """
        options = ["--no-defaults", "--batch", "--skip-column-names", f"--port={self.port()}"]
        account = [f"--host={LOOPBACK}", f"--user={self.user}", f"--password={self.password}"]
        argv = [_CLIENT.path, *options, *account, database]
        return install.run(argv, within=60, fix="Correct the SQL.", stdin=sql)

    def prepare(self) -> None:
        """Make the system tables, once, and the statements that every start runs."""
        account = _ACCOUNT.format(user=self.user, password=self.password)
        (self.directory / "account.sql").write_text(account)
        data = self.directory / "data"
        if (data / "mysql").exists():
            return
        install.run(
            [_CREATE.path, "--no-defaults", f"--datadir={data}", "--skip-test-db", *_as_root()],
            within=120,
            fix=f"Remove {data} and start again.",
        )

    def command(self, part: str) -> Command:
        """Run the server."""
        del part
        return Command(
            (
                *(
                    _SERVER.path,
                    "--no-defaults",
                    f"--datadir={self.directory / 'data'}",
                    *_as_root(),
                ),
                *(f"--bind-address={LOOPBACK}", f"--port={self.port()}"),
                # Relative to the data directory: a path of a socket is 107 bytes at most.
                *("--socket=server.sock", "--pid-file=server.pid"),
                f"--init-file={self.directory / 'account.sql'}",
                *("--server-id=1", "--log-bin=binlog", "--binlog-format=ROW"),
                *("--binlog-row-image=FULL", "--binlog-row-metadata=FULL"),
                *("--gtid-strict-mode=ON", "--default-time-zone=+00:00"),
                # A health check that hangs up after the greeting must not get its host blocked.
                *("--skip-name-resolve", "--host-cache-size=0"),
                *("--innodb-buffer-pool-size=64M", "--key-buffer-size=8M", "--max-connections=60"),
                # Survives the end of the process; only a power cut would lose a second.
                "--innodb-flush-log-at-trx-commit=2",
            )
        )

    def healthy(self) -> bool:
        """Read the greeting: packet header, then the version of the protocol."""
        try:
            with probe.connect(self.port()) as connection:
                greeting = connection.recv(5)
        except OSError:
            return False
        return greeting[4:] == bytes([_GREETING_VERSION])


def _as_root() -> tuple[str, ...]:
    """Return the flag without which the server refuses to run as root."""
    return ("--user=root",) if os.geteuid() == 0 else ()
