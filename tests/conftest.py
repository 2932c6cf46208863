"""Tests that share what a module makes run in one process: it is made once."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name a group for each module whose tests share something."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None and (group := _shared(item)):
            item.add_marker(pytest.mark.xdist_group(group))


def _shared(item: pytest.Item) -> str:
    """Name what *item* shares with others of its module; nothing when that is nothing."""
    if not isinstance(item, pytest.Function):
        return ""
    made = item._fixtureinfo.name2fixturedefs  # noqa: SLF001 - pytest has no other way
    shared = sorted(name for name, found in made.items() if found[-1].scope == "module")
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    chosen = [str(parameters[name]) for name in shared if name in parameters]
    return "-".join([item.nodeid.partition("::")[0], *chosen]) if shared else ""
