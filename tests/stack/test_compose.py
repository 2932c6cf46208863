"""The compose files say what the settings model and `stack/` say; a loader reads them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentflow.settings import Settings
from stack.services import S3, Connect, IcebergRest, Kafka, MariaDb, Postgres, Redis

ROOT = Path(__file__).parents[2]
SOURCES, LAKE, PLATFORM = (f"docker-compose.{name}.yml" for name in ("e2e", "iceberg", "prod"))
SECRETS = {
    "AGENTFLOW_API_KEYS": "k1:acme",
    "AGENTFLOW_LAKE_S3_ACCESS_KEY": "key",
    "AGENTFLOW_LAKE_S3_SECRET_KEY": "secret",
    "MARIADB_PASSWORD": "m",
    "POSTGRES_PASSWORD": "p",
}
OF_CONTAINERS = {"AGENTFLOW_KAFKA_BOOTSTRAP", "AGENTFLOW_RATE_LIMIT", "AGENTFLOW_BUS"}
"""What a deployment sets although the default of a single machine is another."""


def loaded(*files: str, environment: Mapping[str, str] = SECRETS) -> dict[str, Any]:
    """Return what a compose loader makes of files that are layered on each other."""
    done = run(*files, environment=environment)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = yaml.safe_load(done.stdout)
    return document


def run(*files: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    chosen = [word for file in files for word in ("-f", file)]
    return subprocess.run(
        ["docker-compose", *chosen, "config"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("files", [(SOURCES,), (LAKE,), (PLATFORM,), (SOURCES, LAKE, PLATFORM)])
def test_every_file_is_loaded_alone_and_on_the_others(files: tuple[str, ...]) -> None:
    """Whoever has a broker or a catalog leaves our file of it out."""
    assert loaded(*files)["services"]


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_a_secret_has_no_default(missing: str) -> None:
    """A password that is printed in a repository is none; what is missing is named."""
    environment = {name: value for name, value in SECRETS.items() if name != missing}

    done = run(SOURCES, LAKE, PLATFORM, environment=environment)

    assert done.returncode != 0
    assert missing in done.stderr


def test_every_variable_of_ours_is_a_setting_with_its_default() -> None:
    """A misspelt variable is ignored in silence, and another default would surprise."""
    services = loaded(PLATFORM)["services"]
    prefix = Settings.model_config["env_prefix"]
    fields = {f"{prefix}{name}".upper(): field for name, field in Settings.model_fields.items()}

    given = {
        name: value
        for service in services.values()
        for name, value in service.get("environment", {}).items()
        if name.startswith(prefix)
    }

    assert given.keys() <= fields.keys()
    own = SECRETS.keys() | OF_CONTAINERS
    for name in sorted(given.keys() - own):
        value = given[name]
        default = fields[name].default
        shown = default.get_secret_value() if hasattr(default, "get_secret_value") else default
        if shown:
            assert value == shown, name


def test_the_platform_can_be_told_every_connection_it_has() -> None:
    """Security settings of a real cluster reach the API and the jobs."""
    services = loaded(PLATFORM)["services"]
    connection = {
        f"AGENTFLOW_{name.upper()}"
        for name in Settings.model_fields
        if name in {"kafka_bootstrap", "kafka_prefix", "kafka_security_protocol"}
        or name.startswith(("kafka_sasl_", "lake_s3_"))
    }

    for name in ("api", "lake"):
        assert connection <= services[name]["environment"].keys(), name
    of_kafka = {each for each in connection if "_KAFKA_" in each}
    for name in ("topics", "gate", "sessions"):
        assert of_kafka <= services[name]["environment"].keys(), name


def test_the_settings_of_the_api_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The container would start with them."""
    for name, value in loaded(PLATFORM)["services"]["api"]["environment"].items():
        monkeypatch.setenv(name, str(value))

    settings = Settings()

    assert settings.bus == "kafka"
    assert settings.kafka_bootstrap == "kafka:9092"
    assert settings.lake_catalog == "http://iceberg-rest:8181"


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("kafka", Kafka),
        ("connect", Connect),
        ("postgres", Postgres),
        ("mariadb", MariaDb),
        ("redis", Redis),
        ("s3", S3),
        ("iceberg-rest", IcebergRest),
    ],
)
def test_images_are_the_versions_that_are_tested(
    name: str, service: type[Kafka | Connect | Postgres | MariaDb | Redis | S3 | IcebergRest]
) -> None:
    """What runs here without containers is what the files ask for."""
    image = loaded(SOURCES, LAKE)["services"][name]["image"]

    version = image.rpartition(":")[2].removeprefix("sha-")

    assert version in service.version


def test_the_lake_yields_to_the_gate() -> None:
    """Each job is sent to the cluster of its TaskManager, and that of the lake has few shares."""
    services = loaded(PLATFORM)["services"]

    def cluster(job: str) -> str:
        command = services[job]["command"]
        return str(command[command.index("--cluster") + 1])

    of = {name: services[name] for name in ("taskmanager", "lake-taskmanager")}
    where = {
        name: str(each["environment"]["FLINK_PROPERTIES"].split()[1]) for name, each in of.items()
    }
    assert cluster("gate") == cluster("sessions") == f"{where['taskmanager']}:8081"
    assert cluster("lake") == f"{where['lake-taskmanager']}:8081"
    assert where["taskmanager"] != where["lake-taskmanager"]
    assert of["lake-taskmanager"]["cpu_shares"] < 1024 // 2
    assert "cpu_shares" not in of["taskmanager"]


def test_only_loopback_is_published() -> None:
    """A laptop in a café serves nobody else."""
    services = loaded(SOURCES, LAKE, PLATFORM)["services"]

    ports = [port for service in services.values() for port in service.get("ports", [])]

    assert ports
    assert all(str(port).startswith("127.0.0.1:") for port in ports), ports
