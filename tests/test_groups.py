"""Tests that share what a module makes run in one worker."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="module")
def shared() -> str:
    return "made once"


@pytest.mark.usefixtures("shared")
def test_what_a_module_shares_is_made_in_one_worker(request: pytest.FixtureRequest) -> None:
    """Workers hear of a group by the name of a test: pytest 9.2 let nobody add it any more."""
    told = request.node.nodeid.rpartition("@")[2]

    assert "PYTEST_XDIST_WORKER" not in os.environ or told == "tests/test_groups.py"
