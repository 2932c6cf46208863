"""Control stores to test: every implementation of the port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from control_store.sqlite.opening import open_control
from control_store.store import ControlStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ControlStore]:
    """An empty store; a second implementation makes this fixture parametrised."""
    control = open_control(tmp_path / "control.sqlite").store
    yield control
    control.close()
