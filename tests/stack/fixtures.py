"""The session's services, as fixtures that any test package may import into its conftest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.services import Kafka


@pytest.fixture(scope="session")
def stack_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="session")
def kafka(stack_directory: Path) -> Iterator[Kafka]:
    with Kafka().running(stack_directory / "kafka") as service:
        yield service
