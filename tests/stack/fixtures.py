"""The session's services. They are stopped at its end, those that need others first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.jobs import install_wheel
from stack.services import S3, Connect, Flink, IcebergRest, Kafka, MariaDb, Postgres, Redis
from tests.chaos.servers import Nursery


@pytest.fixture(scope="session")
def stack_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="session")
def kafka(stack_directory: Path) -> Iterator[Kafka]:
    with Kafka(secure=True).running(stack_directory / "kafka") as service:
        yield service


@pytest.fixture(scope="session")
def connect(
    kafka: Kafka, postgres: Postgres, mariadb: MariaDb, stack_directory: Path
) -> Iterator[Connect]:
    """A worker that knows both databases by every name that tests give to a server."""
    of_postgres = dict.fromkeys(("s", "pgbench", "types_p"), postgres)
    databases = {**of_postgres, **dict.fromkeys(("m", "types_m"), mariadb)}
    with Connect(kafka, databases=databases).running(stack_directory / "connect") as service:
        yield service


@pytest.fixture(scope="session")
def postgres(stack_directory: Path) -> Iterator[Postgres]:
    with Postgres().running(stack_directory / "postgres") as service:
        yield service


@pytest.fixture(scope="session")
def mariadb(stack_directory: Path) -> Iterator[MariaDb]:
    with MariaDb().running(stack_directory / "mariadb") as service:
        yield service


@pytest.fixture(scope="session")
def redis(stack_directory: Path) -> Iterator[Redis]:
    with Redis().running(stack_directory / "redis") as service:
        yield service


@pytest.fixture(scope="session")
def s3(stack_directory: Path) -> Iterator[S3]:
    with S3().running(stack_directory / "s3") as service:
        yield service


@pytest.fixture(scope="session")
def iceberg_rest(s3: S3, stack_directory: Path) -> Iterator[IcebergRest]:
    with IcebergRest(s3).running(stack_directory / "iceberg-rest") as service:
        yield service


@pytest.fixture(scope="session")
def platform_wheel(stack_directory: Path) -> Path:
    """The platform as an image of workers has it: the wheel alone, and no source directory."""
    return install_wheel(stack_directory / "platform")


@pytest.fixture(scope="session")
def flink(stack_directory: Path, platform_wheel: Path) -> Iterator[Flink]:
    with Flink(pythonpath=(platform_wheel,)).running(stack_directory / "flink") as service:
        yield service


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Forks platforms for the tests of a module."""
    found = Nursery(tmp_path_factory.mktemp("lives"))
    yield found
    found.close()
