"""Which tests run in one process, and which of them begin."""

from __future__ import annotations

import pytest

_FIRST = (
    "tests/stack/test_application.py",
    "tests/stack/test_path.py",
    "tests/stack/",
    "tests/chaos/",
    "tests/processing/test_live_equals_lake.py",
    "tests/processing/test_mutants.py",
    "tests/e2e/",
    "tests/bench/",
)
"""What takes minutes, or waits for services most of the time: begun last, it would end alone.

Tests that bring services of their own come before those that share one set: a service that waits
costs a twentieth of a core.
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name a group for each module whose tests share something, and begin with the longest."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None and (group := _shared(item)):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    for rank, prefix in enumerate(_FIRST):
        if item.nodeid.startswith(prefix):
            return rank
    return len(_FIRST)


def _shared(item: pytest.Item) -> str:
    """Name what *item* shares with others of its module; nothing when that is nothing."""
    if not isinstance(item, pytest.Function):
        return ""
    made = item._fixtureinfo.name2fixturedefs  # noqa: SLF001 - pytest has no other way
    shared = sorted(name for name, found in made.items() if found[-1].scope == "module")
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    chosen = [str(parameters[name]) for name in shared if name in parameters]
    return "-".join([item.nodeid.partition("::")[0], *chosen]) if shared else ""
