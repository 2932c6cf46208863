"""The platform as its users have it: the `agentflow` command, in a process of its own."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx2
import pytest

from tests.chaos.servers import Nursery

ROOT = Path(__file__).parents[2]
AGENTFLOW = Path(sys.executable).parent / "agentflow"


@dataclass(frozen=True)
class Up:
    """A running platform."""

    url: str
    http: httpx2.Client
    contracts_dir: Path
    data_dir: Path


@cache
def nursery() -> Nursery:
    """One for each test process; it ends with us, as its input does."""
    folder = tempfile.TemporaryDirectory(prefix="agentflow-")
    found = Nursery(Path(folder.name))
    atexit.register(folder.cleanup)
    atexit.register(found.close)
    return found


@contextmanager
def platform_up(data_dir: Path, contracts_dir: Path) -> Iterator[Up]:
    """Run `agentflow up` on a free port and end it, by its pid, when the body is done.

    In a process of its own that has imported everything: imports are most of a start.
    """
    paths = ("--data-dir", str(data_dir), "--contracts-dir", str(contracts_dir))
    server = nursery().fork(["up", "--port", "0", "--json", *paths])
    try:
        url = server.ready().url
        with httpx2.Client(base_url=url, timeout=30) as http:
            yield Up(url, http, contracts_dir, data_dir)
    finally:
        assert server.stop() == 0, server.log


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """Give a fresh platform with its own copy of the shop's contracts."""
    contracts_dir = tmp_path / "contracts"
    shutil.copytree(ROOT / "contracts", contracts_dir)
    with platform_up(tmp_path / "data", contracts_dir) as running:
        yield running
