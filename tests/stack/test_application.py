"""The platform as `make stack-up` leaves it running, and as the page builds it by hand."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from agentflow_sdk import AgentFlow
from stack import shop, state, topology
from stack.identity import Identity
from stack.ports import choose
from stack.probe import OK, http_json, http_status, wait_until
from stack.services import S3, IcebergRest, Postgres

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "serving-from-a-stream.md"
PATIENCE = 240.0
_STEP = re.compile(r"<!-- followed by a test: (\w+) -->\n```bash\n(.*?)```", re.DOTALL)
_EXPORT = re.compile(r"^export (\w+)=", re.MULTILINE)

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(900)]


def stack(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m stack` as its user does."""
    command = [sys.executable, "-m", "stack", *arguments, "--directory", str(directory)]
    return subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a directory in which one command has brought up everything."""
    place = tmp_path_factory.mktemp("application")
    try:
        done = stack(place, "up", "--app")
        assert done.returncode == 0, done.stderr
        yield place
    finally:
        processes = [Identity.of(pid) for each in state.read(place).values() for pid in each.pids]
        stopped = stack(place, "down")
        assert stopped.returncode == 0, stopped.stderr
        assert not any(each is not None and each.alive for each in processes)


@pytest.fixture(scope="module")
def environment(directory: Path) -> dict[str, str]:
    """Return what `python -m stack env` leads a shell to."""
    told = stack(directory, "env")
    assert told.returncode == 0, told.stderr
    words = shlex.split(told.stdout.replace("export ", ""))
    return dict(word.split("=", 1) for word in words)


def agentflow(script: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run lines of a shell with `agentflow` on the PATH, as after `uv run`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=environment.get("HERE", ROOT),
        env={**os.environ, **environment, "PATH": path},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


def pid_of(directory: Path, service: str, process: str) -> int:
    (found,) = topology.attach(directory, [service])
    return found.processes[process].pid


def test_one_command_leads_to_a_platform_that_answers(
    directory: Path, environment: dict[str, str]
) -> None:
    """Services, topics, tables, jobs, connectors, platform: an event and a row go all the way."""
    assert stack(directory, "status").returncode == 0
    captured = agentflow("agentflow connectors status", environment)
    assert captured.returncode == 0, captured.stdout

    proof = agentflow("agentflow smoke --lake --within 120", environment)

    assert proof.returncode == 0, proof.stderr
    assert "lake" in proof.stdout
    (postgres,) = topology.attach(directory, ["postgres"])
    assert isinstance(postgres, Postgres)
    with psycopg.connect(postgres.dsn("shop"), autocommit=True) as connection:
        shop.insert_order(connection, "STACK-1")
    with AgentFlow(environment["AGENTFLOW_URL"]) as client:
        assert wait_until(
            lambda: client.metric("order_count", window="all").value == 1, within=PATIENCE
        )


def test_only_what_is_dead_is_started(directory: Path, environment: dict[str, str]) -> None:
    """A JobManager that is restarted beside a dead TaskManager would lose its jobs."""
    before = pid_of(directory, "flink", "jobmanager")
    jobs = (directory / "jobs.json").read_text()
    os.kill(pid_of(directory, "flink", "taskmanager"), signal.SIGKILL)

    again = stack(directory, "up", "flink")

    assert "starting (taskmanager)" in again.stderr
    assert pid_of(directory, "flink", "jobmanager") == before
    assert (directory / "jobs.json").read_text() == jobs
    assert wait_until(lambda: stack(directory, "status").returncode == 0, within=PATIENCE)
    proof = agentflow("agentflow smoke --within 120", environment)
    assert proof.returncode == 0, proof.stderr


def test_a_job_that_is_gone_is_said_with_the_command_that_brings_it_back(
    directory: Path, environment: dict[str, str]
) -> None:
    """A JobManager without high availability loses its jobs, not their checkpoints."""
    lost = json.loads((directory / "jobs.json").read_text())["lake"]
    checkpoints = directory / "flink-lake" / "checkpoints" / lost
    assert wait_until(lambda: any(checkpoints.glob("chk-*/_metadata")), within=PATIENCE)
    os.kill(pid_of(directory, "flink-lake", "jobmanager"), signal.SIGKILL)

    services = stack(directory, "up", "flink-lake")

    assert services.returncode == 1
    assert lost in services.stderr
    assert "chk-" in services.stderr
    found = re.search(r"bring it back: (.+)", services.stderr)
    assert found is not None
    back = agentflow(found[1], {"HERE": str(ROOT)})
    assert back.returncode == 0, back.stderr
    again = json.loads((directory / "jobs.json").read_text())["lake"]
    assert again != lost
    kept = http_json(f"http://{environment['FLINK_LAKE']}/jobs/{again}/checkpoints")
    assert lost in str(kept["latest"]["restored"]), "it began from nothing"
    proof = agentflow("agentflow smoke --lake --within 120", environment)
    assert proof.returncode == 0, proof.stderr


def test_other_contracts_are_refused_beside_a_platform_that_runs(directory: Path) -> None:
    """Connectors and jobs follow from them: mixing two packs would be wrong in silence."""
    refused = stack(directory, "up", "--contracts-dir", "examples/flights/contracts")

    assert refused.returncode == 1
    assert "python -m stack down" in refused.stderr


@contextmanager
def running(script: str, environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """Run what does not end by itself while the body runs."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / script.split(maxsplit=1)[0]), *script.split()[1:]],
            cwd=environment["HERE"],
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_the_page_leads_to_a_platform_on_services_that_are_there(
    directory: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """Step by step, with what it exports alone: other topics, another catalog, not our cluster."""
    text = PAGE.read_text("utf-8")
    steps = dict(_STEP.findall(text))
    assert list(steps) == ["topics", "tables", "jobs", "connectors", "platform", "proof"]
    (s3,) = topology.attach(directory, ["s3"])
    assert isinstance(s3, S3)
    with IcebergRest(s3, bucket="byhand").running(tmp_path / "catalog") as catalog:
        port = choose()
        known = environment | catalog.platform_settings
        exported = _EXPORT.findall(text.partition("## Over Redis instead")[0])
        mine = {name: known[name] for name in exported} | {
            "AGENTFLOW_KAFKA_PREFIX": "byhand",
            "AGENTFLOW_PORT": str(port),
            "AGENTFLOW_URL": f"http://127.0.0.1:{port}",
            "AGENTFLOW_DATA_DIR": str(tmp_path / "data"),
            "HERE": str(tmp_path),
        }
        early = agentflow(f"{steps['jobs'].splitlines()[1]}", mine)
        assert (early.returncode, "agentflow lake apply" in early.stderr) == (2, True)

        for step in ("topics", "tables", "jobs", "connectors"):
            done = agentflow(steps[step], mine)
            assert done.returncode == 0, f"{step}: {done.stdout}{done.stderr}"
        ready = f"{mine['AGENTFLOW_URL']}/v1/health/ready"
        with running(steps["platform"], mine, tmp_path / "up.log"):
            assert wait_until(lambda: http_status(ready) == OK, within=PATIENCE)
            proof = agentflow(f"{steps['proof'].strip()} --within 180", mine)

    assert proof.returncode == 0, proof.stderr
    assert "lake" in proof.stdout


def test_demonstration_that_is_terminated_leaves_nothing_behind(tmp_path: Path) -> None:
    """`kill` of it is as good an end as Ctrl-C: eleven processes stayed behind.

    It is ended once two databases and a broker run; the others are started and stopped alike.
    """
    command = [sys.executable, "-u", "-m", "stack.demo", "--directory", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as demonstration:
        assert demonstration.stderr is not None
        for line in demonstration.stderr:
            if "kafka" in line and "ready" in line:
                break
        files = list(tmp_path.glob("*/*.pid"))
        started = [Identity.parse(file.read_text()) for file in files]

        demonstration.terminate()
        said = demonstration.stderr.read()

    assert len(started) >= 3
    assert not any(each is None or each.alive for each in started)
    assert "interrupted" in said
    assert demonstration.returncode == 1
