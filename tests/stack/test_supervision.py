"""The supervisor, on processes that cost nothing to start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from agentflow.lint import load
from ingestion.connectors import connectors_of
from stack import commands, ports, state, topology
from stack.__main__ import main
from stack.errors import NotReadyError, StackError
from stack.identity import Identity
from stack.probe import wait_until
from stack.process import Command, Process, wait_ready
from stack.service import Service
from stack.services import Connect, Redis

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                         start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def sleeper(
    directory: Path, program: str = "import time; time.sleep(600)", *, niceness: int = 0
) -> Process:
    command = Command((sys.executable, "-c", program), niceness=niceness)
    return Process("sleeper", directory, lambda: command)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    found = sleeper(tmp_path)
    found.start()
    yield found
    found.kill()


def test_process_is_found_again_by_its_pid_file(process: Process, tmp_path: Path) -> None:
    """`python -m stack down` is another process than the one that started the services."""
    again = sleeper(tmp_path)

    assert again.pid == process.pid

    again.stop()
    assert not process.alive


def test_process_that_was_stopped_is_gone(tmp_path: Path) -> None:
    """Not even a zombie stays: who looks in /proc must not find it."""
    process = sleeper(tmp_path)
    pids = []

    for _ in range(5):
        process.start()
        pids.append(process.pid)
        process.stop()

        assert not Path(f"/proc/{pids[-1]}").exists()


def test_process_yields_with_its_session(tmp_path: Path) -> None:
    """Where the kernel shares cores by session, niceness alone would change nothing."""
    process = sleeper(tmp_path, niceness=7)

    process.start()
    try:
        assert wait_until(lambda: os.getpriority(os.PRIO_PROCESS, process.pid) == 7, within=10)
        group = Path(f"/proc/{process.pid}/autogroup")
        assert not group.exists() or group.read_text().split()[-2:] == ["nice", "7"]
    finally:
        process.kill()


def test_pid_of_somebody_else_is_never_killed(tmp_path: Path) -> None:
    """Pids are reused: a pid file from before tells by the start time that it is not ours."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        identity = Identity.of(stranger.pid)
        assert identity is not None
        (tmp_path / "sleeper.pid").write_text(str(Identity(stranger.pid, identity.started - 1)))

        sleeper(tmp_path).kill()

        assert stranger.poll() is None
        assert identity.alive
        assert not Identity(stranger.pid, identity.started - 1).alive
        stranger.kill()


class Pair(Service):
    """Two processes that cost nothing."""

    name = "pair"
    version = "0"
    parts = ("one", "two")

    def install(self) -> None:
        """Nothing."""

    def prepare(self) -> None:
        """Nothing."""

    def command(self, part: str) -> Command:
        del part
        return Command((sys.executable, "-c", "import time; time.sleep(600)"))

    def healthy(self) -> bool:
        return self.alive

    @property
    def addresses(self) -> Mapping[str, str]:
        return {}


def test_only_the_dead_process_of_a_service_is_started(tmp_path: Path) -> None:
    """The living one holds what a restart would lose: a JobManager its jobs."""
    pair = Pair()
    assert pair.ensure(tmp_path) == ("one", "two")
    one = pair.processes["one"].pid
    pair.processes["two"].kill()
    try:
        assert Pair().ensure(tmp_path) == ("two",)
        assert Pair().ensure(tmp_path) == ()
        assert pair.processes["one"].pid == one
    finally:
        pair.stop()


def test_kill_reaches_children_that_left_the_group(tmp_path: Path) -> None:
    """PostgreSQL's backends do, and keep the next start from working."""
    process = sleeper(tmp_path, STUBBORN)
    process.start()
    assert wait_until(lambda: b"\n" in process.log_path.read_bytes(), within=30)
    child = Identity.of(int(process.log_path.read_text()))

    process.kill()

    assert child is not None
    assert not child.alive
    assert not process.alive


def test_process_that_ends_is_reported_with_its_log(tmp_path: Path) -> None:
    """Whoever waits for a port that will never open wants the reason, and at once."""
    process = sleeper(tmp_path, "raise SystemExit('no space left')")
    process.start()

    with pytest.raises(NotReadyError, match="no space left") as caught:
        wait_ready([process], lambda: False, within=60)

    assert str(process.log_path) in caught.value.fix


def test_owner_that_was_killed_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test run that ends by SIGKILL cannot stop its services: the next start does."""
    monkeypatch.setenv("AGENTFLOW_STACK_HOME", str(tmp_path / "home"))
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER.format(directory=str(tmp_path))],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    assert owner.stdout is not None
    orphan = Identity.of(int(owner.stdout.readline()))
    owner.send_signal(signal.SIGKILL)
    owner.communicate()

    with Redis().running(tmp_path / "other"):
        assert orphan is not None
        assert wait_until(lambda: not orphan.alive, within=10)


_OWNER = """
import time
from pathlib import Path
from stack.service import Service
from stack.services import Redis
redis = Redis()
redis.start(Path({directory!r}) / "redis")
print(redis.pid, flush=True)
time.sleep(600)
"""


def test_taken_port_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports stay the same over restarts, so a stranger on one is an error that says so."""
    monkeypatch.setattr("stack.service.PORTS_WITHIN", 0.1)
    redis = Redis().attach(tmp_path)

    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", redis.port()))
        stranger.listen()
        with pytest.raises(StackError, match=str(redis.port())):
            redis.start(tmp_path)


def test_ports_are_below_the_range_of_outgoing_connections() -> None:
    """A connection of anybody could be given a port of that range while a service is down."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    assert all(ports.choose() < low for _ in range(20))


def test_service_brings_what_it_needs(tmp_path: Path) -> None:
    """`python -m stack up connect` starts Kafka first."""
    found = topology.services(tmp_path, ["connect"])

    assert [service.name for service in found] == ["kafka", "connect"]


def test_a_worker_has_what_its_connectors_refer_to_before_it_starts(tmp_path: Path) -> None:
    """Addresses were known only after a start, and Connect reads its environment at its own."""
    (_, connect) = topology.attach(tmp_path, ["connect"])

    assert isinstance(connect, Connect)
    for connector in connectors_of(load(topology.CONTRACTS)):
        assert set(connector.environment) <= connect.environment.keys()
    ports = {key: port for key, port in connect.environment.items() if key.endswith("_PORT")}
    assert len(ports) == len(set(ports.values())) == 2


def test_a_long_installation_is_announced_while_it_lasts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first one downloads for minutes."""

    class Slow(Pair):
        """Installed once that was said."""

        def install(self) -> None:
            assert wait_until(lambda: "installing …" in capsys.readouterr().err, within=10)

    monkeypatch.setattr("stack.commands._WORTH_SAYING_SECONDS", 0.01)

    commands._install(Slow())  # noqa: SLF001 - all of them would download

    assert "installed in" in capsys.readouterr().err


def test_command_line_starts_once_and_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole life of a service as its user sees it."""
    line = ["--directory", str(tmp_path)]

    assert main(["up", "redis", "--json", *line]) == 0
    (started,) = state.read(tmp_path).values()
    identity = Identity.of(started.pids[0])
    assert main(["status", *line]) == 0
    (tmp_path / "jobs.json").write_text('{"lake": "f00d"}')
    assert main(["up", "redis", *line]) == 1, "its job is gone"
    assert state.read(tmp_path)["redis"].pids == started.pids
    assert main(["down", *line]) == 0
    assert main(["status", *line]) == 1

    said = capsys.readouterr()
    assert started.addresses["url"] in said.out
    assert "ready in" in said.err
    assert "already running" in said.err
    assert identity is not None
    assert not identity.alive


def test_unknown_service_is_an_error_with_the_choices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The names are in the message: nobody has to read the code for them."""
    assert main(["up", "kafak", "--directory", str(tmp_path)]) == 1

    assert "iceberg-rest" in capsys.readouterr().err
