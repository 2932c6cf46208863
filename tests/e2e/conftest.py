"""The platform as its users have it: the `agentflow` command, in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).parents[2]
AGENTFLOW = Path(sys.executable).parent / "agentflow"


@dataclass(frozen=True)
class Up:
    """A running platform."""

    url: str
    http: httpx2.Client
    contracts_dir: Path
    data_dir: Path


@contextmanager
def platform_up(data_dir: Path, contracts_dir: Path) -> Iterator[Up]:
    """Run `agentflow up` on a free port and end it, by its pid, when the body is done."""
    command = [AGENTFLOW, "up", "--port", "0", "--json", "--data-dir", data_dir]
    process = subprocess.Popen(
        [*map(str, command), "--contracts-dir", str(contracts_dir)], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with httpx2.Client(base_url=url, timeout=30) as http:
            yield Up(url, http, contracts_dir, data_dir)
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """Give a fresh platform with its own copy of the shop's contracts."""
    contracts_dir = tmp_path / "contracts"
    shutil.copytree(ROOT / "contracts", contracts_dir)
    with platform_up(tmp_path / "data", contracts_dir) as running:
        yield running
