"""One nursery for each test process, one seed for each run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fakes.few_metrics import few_metrics

if TYPE_CHECKING:
    from tests.chaos.servers import Nursery

DEFAULT_SEED = 20261121


METRICS = {
    *("order_count.v1", "revenue.v2", "distinct_buyers.v1", "p75_page_load.v1"),
    *("largest_order.v1", "conversion_rate.v1", "stock_movement.v1"),
}
"""One of each kind: to compare all that there are is most of a test; `test_kill` does."""


@pytest.fixture(scope="session")
def few_contracts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's events, and few of its metrics."""
    return few_metrics(tmp_path_factory.mktemp("few") / "contracts", METRICS)


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory, few_contracts: Path) -> Iterator[Nursery]:
    """Platforms on demand, with few metrics unless a test says otherwise."""
    from tests.chaos.servers import Nursery

    found = Nursery(tmp_path_factory.mktemp("nursery"), few_contracts)
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
