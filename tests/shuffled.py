"""A plugin of pytest that turns the order round by a seed: `pytest -p tests.shuffled`.

Modules come in another order, and so do the tests of each; they stay together, or what a module
makes for its tests would be made for each of them. `AGENTFLOW_ORDER_SEED` chooses the order; the
first line of a run names it.
"""

from __future__ import annotations

import os
from collections import defaultdict
from random import Random

import pytest

_SEED = int(os.environ.get("AGENTFLOW_ORDER_SEED", "1"))


def pytest_report_header() -> str:
    """Say how to repeat the order."""
    return f"order: AGENTFLOW_ORDER_SEED={_SEED}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shuffle modules, and the tests of each."""
    random = Random(_SEED)
    modules: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        modules[item.nodeid.partition("::")[0]].append(item)
    names = list(modules)
    random.shuffle(names)
    for name in names:
        random.shuffle(modules[name])
    items[:] = [item for name in names for item in modules[name]]
