"""What `up`, `down` and `status` do with jobs and a platform, without services."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stack import application, state, topology
from stack.__main__ import main
from stack.application import JobStatus
from stack.identity import Identity
from stack.path import StreamPath, nobody
from stack.state import Status
from stack.topology import databases_of

PGBENCH = Path("examples/pgbench/contracts")
LOST = {"gate": "ba5e", "lake": "f00d"}


class Planned(StreamPath):
    """A path that notes what it would do."""

    def __init__(self, directory: Path, contracts: Path = PGBENCH) -> None:
        super().__init__(directory, contracts)
        self.databases = databases_of(self.registry)
        self.done: list[str] = []

    def make_topics(self) -> None:
        self.done.append("topics")

    def make_tables(self) -> None:
        self.done.append("lake tables")

    def start_job(self, name: str, *, since: str | None = None) -> str:
        self.done.append(f"{name} from {since}")
        return "new"

    def capture(self) -> None:
        self.done.append("connectors")


def lose_jobs(directory: Path) -> str:
    """Leave what jobs leave whose JobManager died; return the last checkpoint of the lake's."""
    (directory / "jobs.json").write_text(json.dumps(LOST))
    for number in (9, 10):
        kept = directory / "flink-lake" / "checkpoints" / LOST["lake"] / f"chk-{number}"
        kept.mkdir(parents=True)
        (kept / "_metadata").touch()
    return kept.as_uri()


def test_one_command_makes_everything_in_the_order_of_who_needs_whom(tmp_path: Path) -> None:
    """The lake job makes no tables, and a connector finds topics and jobs there."""
    path = Planned(tmp_path)

    application.bring_up(path, nobody)

    jobs = ["gate from None", "lake from None"]
    assert path.done == ["topics", "lake tables", *jobs, "connectors"]


def test_a_job_that_is_gone_comes_back_from_its_last_checkpoint(tmp_path: Path) -> None:
    """From nothing it would read and store everything once more."""
    since = lose_jobs(tmp_path)
    path = Planned(tmp_path)
    path.services.attach()

    path.ensure_jobs()

    assert path.done == ["gate from None", f"lake from {since}"]


def test_jobs_that_are_gone_are_said_with_the_command_that_brings_them_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Services that run are not all: `status` and `up` end with 1."""
    since = lose_jobs(tmp_path)
    line = ["--directory", str(tmp_path)]
    state.write(tmp_path, {"s3": Status("0", {}, [], [], 0, healthy=True)})

    assert main(["status", *line]) == 1

    said = capsys.readouterr().err
    assert f"{LOST['lake']}; {since}\n" in said
    assert f"{LOST['gate']}; it has no checkpoint\n" in said
    command = f"{Path(sys.executable).name} -m stack up --app --directory {tmp_path}"
    assert said.count(f"bring it back: {command}\n") == 2


def test_a_job_that_is_gone_is_shown_with_its_checkpoint_and_a_command() -> None:
    """That it is lost, without what to do about it, helps nobody."""
    command = "python -m stack up --app --directory here"
    gone = JobStatus("lake", "f00", None, "file:///here/chk-7", command)
    ended = JobStatus("gate", "ba5", "CANCELED", None, command)

    assert not gone.healthy
    assert "is gone" in str(gone)
    assert "f00; file:///here/chk-7\n" in str(gone)
    assert str(gone).endswith(f"bring it back: {command}")
    assert "is canceled" in str(ended)
    assert "it has no checkpoint" in str(ended)


def test_down_ends_the_platform_too(tmp_path: Path) -> None:
    """It is no service, and outlives the command that started it."""
    (tmp_path / "api").mkdir()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as platform:
        identity = Identity.of(platform.pid)
        (tmp_path / "api" / "api.pid").write_text(str(identity))
        state.write(tmp_path, {"api": Status("0", {}, [platform.pid], [], 0, healthy=True)})
        try:
            assert main(["down", "--directory", str(tmp_path)]) == 0
            assert platform.poll() is not None
        finally:
            platform.kill()
    assert state.read(tmp_path) == {}


def test_each_step_is_announced_before_it_is_waited_for(tmp_path: Path) -> None:
    """Only what was ready was said: nothing, for as long as a job took to start."""
    path, said = StreamPath(tmp_path, topology.CONTRACTS), list[str]()

    def told(name: str, seconds: float | None, place: str) -> None:
        said.append(f"{name} starts" if seconds is None else f"{name} {place}")

    path.timed("tables", told, lambda: said.append("at work"))

    assert said == ["tables starts", "at work", "tables "]
