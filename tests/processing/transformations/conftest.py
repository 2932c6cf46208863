"""The contracts and the gate whose verdicts are transformed."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentflow.contracts import Registry
from agentflow.lint import load
from quality import Gate

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def registry() -> Registry:
    return load(ROOT / "tests" / "golden" / "contracts")


@pytest.fixture(scope="session")
def gate(registry: Registry) -> Gate:
    return Gate(registry)
