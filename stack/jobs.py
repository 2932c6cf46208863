"""The platform inside Flink: its wheel beside the workers, and its jobs on the cluster."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from stack import flink_home, install
from stack.errors import StackError
from stack.flink_home import uv
from stack.home import REPOSITORY, run_directory
from stack.probe import http_json
from stack.services.flink import Flink

_BUILD_WITHIN = 300.0
_SUBMIT_WITHIN = 600.0


def install_wheel(target: Path) -> Path:
    """Give a directory the wheel of this checkout, installed as an image of workers has it.

    What the directory held before is removed first. The wheel is built once for each state of the
    sources: that takes eleven seconds of processor.

    What it depends on comes from `environments/flink`; no source directory is on the path.
    """
    directory = run_directory().with_name("wheels")
    with install.lock("wheel", directory):
        built = directory / f"wheel-{_state_of(REPOSITORY)}"
        if not built.is_dir():
            for older in directory.glob("wheel-*"):
                shutil.rmtree(older)
            partial = directory / "partial"
            shutil.rmtree(partial, ignore_errors=True)
            _build_wheel(partial)
            partial.rename(built)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(built, target)
    return target


def _state_of(checkout: Path) -> str:
    """Name the sources of a wheel after what they are called and what is in them."""
    digest = hashlib.sha256((checkout / "pyproject.toml").read_bytes())
    for path in sorted((checkout / "src").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(checkout)).encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _build_wheel(target: Path) -> None:
    fix = f"Run `uv build --wheel` in {REPOSITORY}."
    with tempfile.TemporaryDirectory() as built:
        build = ("build", "--wheel", "--quiet", "--out-dir", built, str(REPOSITORY))
        install.run([uv(), *build], within=_BUILD_WITHIN, fix=fix)
        wheel = next(Path(built).glob("*.whl"))
        python = str(flink_home.prepare().python)
        options = ("--no-deps", "--quiet", "--python", python, "--target", str(target))
        install.run([uv(), "pip", "install", *options, str(wheel)], within=_BUILD_WITHIN, fix=fix)


def start(
    job: str,
    flink: Flink,
    contracts: Path,
    *options: str,
    settings: Mapping[str, str] | None = None,
) -> str:
    """Submit a job from the wheel's own command line and return its id.

    Args:
        job: Its name on the command line: `gate`, `lake`, `sessions`.
        flink: The cluster.
        contracts: The directory of the contracts.
        options: Of that command line.
        settings: `AGENTFLOW_…` variables; secrets go there.

    Raises:
        StackError: It was refused.
    """
    address = flink.url.removeprefix("http://")
    command = ("-m", "processing.flink", job, "--cluster", address)
    argv = [str(flink.python), *command, "--contracts-dir", str(contracts), *options]
    fix = f"Read {flink.log_path}."
    environment = {**flink.client_environment, **(settings or {})}
    said = install.run(argv, within=_SUBMIT_WITHIN, fix=fix, environment=environment)
    found = re.search(r"^[0-9a-f]{32}$", said, re.MULTILINE)
    if found is None:
        raise StackError(f"no job was submitted: {said[-2000:]}", fix=fix)
    return found[0]


def cancel(flink: Flink, job: str) -> None:
    """Ask for the end of a job; its last checkpoint stays."""
    url = f"{flink.url}/jobs/{job}"
    request = urllib.request.Request(url, method="PATCH")  # noqa: S310 - our own loopback address
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310 - same
        return


def state_of(flink: Flink, job: str) -> str | None:
    """Return Flink's word for the state of a job (`RUNNING`, `CANCELED` …).

    None when the cluster does not answer, or does not know the job: a JobManager that died has
    lost its jobs.
    """
    found = http_json(f"{flink.url}/jobs/{job}")
    return str(found["state"]) if found else None


def last_checkpoint(flink: Flink, job: str) -> str | None:
    """Return the URI of the newest complete checkpoint of a job; None before the first."""
    found = sorted(
        (flink.checkpoint_directory / job).glob("chk-*/_metadata"),
        key=lambda path: int(path.parent.name.removeprefix("chk-")),
    )
    return found[-1].parent.as_uri() if found else None
