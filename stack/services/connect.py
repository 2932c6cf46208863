"""Kafka Connect with Debezium's connectors for PostgreSQL and MariaDB."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path

from stack import class_data, install, jvm, probe
from stack.home import LOOPBACK, home
from stack.process import Command
from stack.service import Service
from stack.services.kafka import Kafka
from stack.services.mariadb import MariaDb
from stack.services.postgres import Postgres

_MAIN = "org.apache.kafka.connect.cli.ConnectDistributed"
_HEAP_MB = 384
_ENVIRONMENT = "org.apache.kafka.common.config.provider.EnvVarConfigProvider"
_JSON = "org.apache.kafka.connect.json.JsonConverter"


class Connect(Service):
    """One distributed worker on a running broker.

    The broker creates no topics by itself, so a source connector needs
    `topic.creation.default.*` in its configuration, or its topics made before.
    """

    name = "connect"
    version = "4.3.1 with Debezium 3.5.0.Final"

    def __init__(
        self, kafka: Kafka, *, databases: Mapping[str, Postgres | MariaDb] | None = None
    ) -> None:
        """Plan a worker.

        Args:
            kafka: The broker it works for.
            databases: What it captures, by the server name of the source contracts; they have a
                directory, and so their ports, before the worker starts.
        """
        super().__init__()
        self.kafka = kafka
        self._databases = dict(databases or {})

    @property
    def environment(self) -> dict[str, str]:
        """What `${env:…}` in the configuration of connectors refers to."""
        found = {"AGENTFLOW_KAFKA_BOOTSTRAP": self.kafka.bootstrap}
        for server, database in self._databases.items():
            name = f"AGENTFLOW_{server.upper()}"
            found |= {
                f"{name}_HOST": LOOPBACK,
                f"{name}_PORT": str(database.port()),
                f"{name}_USER": database.user,
                f"{name}_PASSWORD": database.password,
            }
        return found

    @property
    def url(self) -> str:
        """The REST interface."""
        return f"http://{LOOPBACK}:{self.port()}"

    @property
    def addresses(self) -> Mapping[str, str]:
        """The REST interface."""
        return {"url": self.url}

    def install(self) -> None:
        """Download the worker and unpack the connectors."""
        install.jars("kafka")
        _plugins()

    @property
    def archives(self) -> tuple[Path, ...]:
        """That of the worker."""
        return (class_data.archive(_MAIN, install.jars("kafka")),)

    def prepare(self) -> None:
        """Write the worker's configuration."""
        self._configuration.write_text(jvm.properties(self._settings()))

    def command(self, part: str) -> Command:
        """Run the worker."""
        del part
        classpath = install.jars("kafka")
        arguments = (str(self._configuration),)
        argv = jvm.command(
            _MAIN, *arguments, classpath=classpath, heap_mb=_HEAP_MB, without_c2=True
        )
        return Command(argv, self.environment)

    def healthy(self) -> bool:
        """Ask `/health`: it is 200 once the worker has joined its group and read its topics."""
        return probe.http_status(f"{self.url}/health") == probe.OK

    @property
    def _configuration(self) -> Path:
        return self.directory / "connect.properties"

    def _settings(self) -> dict[str, object]:
        return {
            "bootstrap.servers": self.kafka.bootstrap,
            "group.id": "connect",
            "listeners": self.url,
            "plugin.path": _plugins(),
            "plugin.discovery": "service_load",
            "key.converter": _JSON,
            "value.converter": _JSON,
            "key.converter.schemas.enable": False,
            "value.converter.schemas.enable": False,
            **{f"{kind}.storage.topic": f"connect.{kind}" for kind in _KINDS},
            **{f"{kind}.storage.replication.factor": 1 for kind in _KINDS},
            "offset.storage.partitions": 1,
            "status.storage.partitions": 1,
            "offset.flush.interval.ms": 1000,
            "connector.client.config.override.policy": "All",
            # Connectors refer to addresses and passwords in this process's environment.
            "config.providers": "env",
            "config.providers.env.class": _ENVIRONMENT,
            # A killed worker must get its connectors back at once: the defaults are 10 s until
            # it counts as gone and five minutes until its tasks are given out again.
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 1500,
            "scheduled.rebalance.max.delay.ms": 0,
        }


_KINDS = ("config", "offset", "status")


def _plugins() -> Path:
    """Return the directory with one directory per connector, after unpacking it once."""
    archives = install.jars("debezium", transitive=False)
    target = home() / "plugins" / archives.name
    with install.built_once(target) as partial:
        if partial is not None:
            for archive in sorted(archives.glob("*.tar.gz")):
                with tarfile.open(archive) as contents:
                    contents.extractall(partial, filter="data")
    return target
