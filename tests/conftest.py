"""Which tests run where, and when: what a module makes is made once, services come first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

STACK = Path(__file__).parent / "stack"

YIELDS = int(os.environ.get("AGENTFLOW_TESTS_YIELD", "0"))
"""How far tests without services stand back from those on services that run beside them."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that share what a module makes to one process; those on services begin first."""
    items.sort(key=lambda item: not item.path.is_relative_to(STACK))
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


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Yield before the first test without services; there is no way back."""
    if YIELDS and not item.path.is_relative_to(STACK):
        os.nice(max(0, YIELDS - os.nice(0)))
