"""Real platforms as processes: started, asked over HTTP, stopped and killed by their pid."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import IO, Any

from stack.probe import pause

ROOT = Path(__file__).parents[2]
KEYS = {"acme": "key-of-acme", "globex": "key-of-globex"}
SECRET = "of the chaos"  # noqa: S105 - of tests
START_SECONDS = 60.0
"""Promise 19: whatever the files look like, this is the longest a start may take."""

_EVERY_SECONDS = 0.01

Json = dict[str, Any]


def until(condition: Callable[[], object], *, seconds: float, what: str) -> object:
    """Return what *condition* gives soon after it is true."""
    started = time.monotonic()
    while not (found := condition()):
        waited = time.monotonic() - started
        assert waited < seconds, f"{what} did not happen within {seconds} s"
        time.sleep(pause(waited, every=_EVERY_SECONDS))
    return found


class Answer:
    """Status, headers and body of an answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Json:
        found: Json = json.loads(self.body)
        return found


class Client:
    """One keep-alive connection of one tenant. A request that fails raises `OSError`."""

    def __init__(self, url: str, tenant: str = "acme", *, seconds: float = 30) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._connection = HTTPConnection(host, int(port), timeout=seconds)
        self._key = KEYS[tenant]

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"x-api-key": self._key, "content-type": "application/json", **(headers or {})}
        try:
            self._connection.request(method, path, body, sent)
            answer = self._connection.getresponse()
            return Answer(
                answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            )
        except HTTPException as error:
            self._connection.close()
            raise OSError(str(error)) from error
        except OSError:
            self._connection.close()
            raise

    def get(self, path: str, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("GET", path, headers=named)

    def post(self, path: str, content: object = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.ask("POST", path, body, named)

    def close(self) -> None:
        self._connection.close()


class Server:
    """One life of a platform."""

    def __init__(self, pid: int, folder: Path, life: int) -> None:
        self.pid = pid
        self._out, self._err, self._exit = _files(folder, life)
        self._waits = os.pidfd_open(pid) if not self._exit.exists() else None

    @property
    def url(self) -> str:
        return str(json.loads(self._out.read_text().splitlines()[0])["url"])

    @property
    def log(self) -> str:
        return self._err.read_text() if self._err.exists() else ""

    @property
    def exit_code(self) -> int | None:
        return int(self._exit.read_text()) if self._exit.exists() else None

    def ready(self, *, seconds: float = START_SECONDS) -> Server:
        """Wait until it answers; fail with its own words when it ends instead."""

        def announced() -> bool:
            assert self.exit_code is None, f"it ended with {self.exit_code}:\n{self.log}"
            return self._out.exists() and "\n" in self._out.read_text()

        until(announced, seconds=seconds, what=f"the start ({self._err})")
        return self

    def client(self, tenant: str = "acme", *, seconds: float = 30) -> Client:
        return Client(self.url, tenant, seconds=seconds)

    def kill(self) -> None:
        """Kill -9; returns when it is gone."""
        if self.exit_code is None:
            self._signal(signal.SIGKILL)
            self.ended()

    def pause(self) -> None:
        """Suspend it, as a long collection or a machine without processors would."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a suspended one go on."""
        self._signal(signal.SIGCONT)

    def stop(self, *, seconds: float = 60) -> int:
        """Ask it to end; return its exit code."""
        if self.exit_code is None:
            self._signal(signal.SIGTERM)
        return self.ended(seconds=seconds)

    def ended(self, *, seconds: float = 60) -> int:
        until(lambda: self.exit_code is not None, seconds=seconds, what=f"the end of {self.pid}")
        assert self.exit_code is not None
        return self.exit_code

    def _signal(self, number: int) -> None:
        try:
            signal.pidfd_send_signal(self._waits, number)  # type: ignore[arg-type]
        except ProcessLookupError:
            return


def _files(folder: Path, life: int) -> tuple[Path, Path, Path]:
    return folder / f"{life}.out", folder / f"{life}.err", folder / f"{life}.exit"


@cache
def _forks() -> subprocess.Popen[str]:
    """One for each test process, with everything imported; it ends with us, as its input does."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("nursery.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert _line(process.stdout) == "ready"
    atexit.register(process.wait, timeout=30)
    atexit.register(process.stdin.close)  # type: ignore[union-attr]
    return process


class Nursery:
    """Starts platforms; every one of them is gone when it is closed."""

    def __init__(self, folder: Path, contracts_dir: Path = ROOT / "contracts") -> None:
        self._folder = folder
        self._contracts_dir = contracts_dir
        self._lives = count()
        self.servers: list[Server] = []
        self._process = _forks()

    def start(  # noqa: PLR0913 - what a test can say of a process
        self,
        data_dir: Path,
        *,
        contracts_dir: Path | None = None,
        lake_seconds: float = 0.2,
        snapshot_seconds: float = 0.5,
        largest_file_bytes: int | None = None,
        environment: Mapping[str, str] | None = None,
        command: str = "up",
    ) -> Server:
        """Begin a start; see `Server.ready`."""
        port = ("--port", "0") if command == "up" else ()
        return self.fork(
            [
                *(command, *port, "--json", "--data-dir", str(data_dir)),
                *("--contracts-dir", str(contracts_dir or self._contracts_dir)),
            ],
            environment={
                "AGENTFLOW_API_KEYS": ",".join(f"{key}:{name}" for name, key in KEYS.items()),
                "AGENTFLOW_TOKEN_SECRET": SECRET,
                "AGENTFLOW_LAKE_INTERVAL_SECONDS": str(lake_seconds),
                "AGENTFLOW_SNAPSHOT_INTERVAL_SECONDS": str(snapshot_seconds),
                **(environment or {}),
            },
            largest_file_bytes=largest_file_bytes,
        )

    def fork(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        largest_file_bytes: int | None = None,
    ) -> Server:
        """Run a command of `agentflow`, with our environment and what is added here."""
        life = next(self._lives)
        out, err, code = _files(self._folder, life)
        asked = {
            "arguments": list(arguments),
            "environment": {**os.environ, **(environment or {})},
            "out": str(out),
            "err": str(err),
            "exit": str(code),
            "largest_file_bytes": largest_file_bytes,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        server = Server(int(_line(self._process.stdout)), self._folder, life)
        self.servers.append(server)
        return server

    def run(self, data_dir: Path, **options: Any) -> Server:  # noqa: ANN401 - as `start`
        """Start and wait until it is ready."""
        return self.start(data_dir, **options).ready()

    def close(self) -> None:
        for server in self.servers:
            server.kill()


def _line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().strip()
