"""One nursery for each test process, one seed for each run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.chaos.servers import Nursery

DEFAULT_SEED = 20261121


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Platforms on demand."""
    from tests.chaos.servers import Nursery

    found = Nursery(tmp_path_factory.mktemp("nursery"))
    yield found
    found.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> Iterator[int]:
    """The seed of this run; a failure prints it with the command that repeats the case."""
    number = int(os.environ.get("AGENTFLOW_CHAOS_SEED", DEFAULT_SEED))
    failed = request.session.testsfailed
    yield number
    if request.session.testsfailed > failed:
        print(
            f"\nrepeat with: AGENTFLOW_CHAOS_SEED={number} "
            f"uv run --frozen pytest '{request.node.nodeid}'"
        )
