"""Control stores to test: every implementation of the port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from agentflow.contracts import Registry
from agentflow.lint import load
from control_store.postgres.opening import open_postgres
from control_store.sqlite.opening import open_control
from control_store.store import ControlStore
from stack.services.postgres import Postgres

ON_POSTGRES = pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))
"""One worker of xdist runs what needs the server, so that it is started once."""

Opened = Callable[[], ControlStore]
"""Opens the same store again, as another process would."""


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A real server, started when the first test asks."""
    with Postgres().running(tmp_path_factory.mktemp("postgres")) as server:
        yield server


_numbers = count(1)


@pytest.fixture(scope="module")
def orders() -> Registry:
    registry = load("contracts")
    events = [event for event in registry.events.values() if event.name.startswith("order.")]
    metrics = [each for each in registry.metrics.values() if each.name == "order_count"]
    return Registry.of([*events, *metrics])


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The URL of a database of its own on it: a schema, which is made in milliseconds."""
    return new_database(postgres)


def new_database(postgres: Postgres) -> str:
    """Return the URL of a new schema."""
    name = f"control_{next(_numbers)}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{postgres.dsn()}?options=-csearch_path%3D{name}"


@pytest.fixture(params=["sqlite", ON_POSTGRES])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """What opens one store, empty at first."""
    if request.param == "sqlite":
        return lambda: open_control(tmp_path / "control.sqlite").store
    url: str = request.getfixturevalue("database")
    return lambda: open_postgres(url)


@pytest.fixture
def store(opened: Opened) -> Iterator[ControlStore]:
    """An empty store."""
    control = opened()
    yield control
    control.close()
