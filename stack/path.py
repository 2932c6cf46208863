"""The whole stream path on one machine: services, topics, connectors, both jobs, the platform.

`with StreamPath(directory, contracts).running() as path:` is what the demonstration, the benches
and the tests of the whole path have in common.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from agentflow.contracts import Registry, load
from agentflow.settings import Settings
from ingestion.cdc import Sources
from ingestion.connectors import Ailment, ConnectClient, connectors_of
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.topic_plan import Create
from ingestion.kafka.topics import Topic, TopicPolicy, wanted_topics
from processing.lake import Progressed
from processing.lake.remote import open_remote_lake
from serving.wiring import lake_location
from stack.errors import StackError
from stack.jobs import cancel, install_wheel, start
from stack.probe import http_json, wait_until
from stack.service import Service
from stack.services import (
    S3,
    Connect,
    Flink,
    IcebergRest,
    Kafka,
    LakeFlink,
    MariaDb,
    Postgres,
)
from stack.services.api import Api

_RUNNING_WITHIN = 180.0
_T = TypeVar("_T")
Told = Callable[[str, float, str], None]
"""Told what is ready, after how many seconds, and where it is."""


def nobody(name: str, seconds: float, place: str) -> None:
    """Tell nobody."""
    del name, seconds, place


class StreamPath:
    """One of everything, bound to a directory.

    Attributes:
        databases: By the name that source contracts give to a server.
    """

    def __init__(  # noqa: PLR0913 - one plan of all its parts
        self,
        directory: Path,
        contracts: Path,
        *,
        prefix: str = "agentflow",
        databases: Mapping[str, Postgres | MariaDb] | None = None,
        settings: Mapping[str, str] | None = None,
        lake_seconds: float = 10,
        brisk: bool = True,
    ) -> None:
        """Plan it; nothing starts yet.

        Args:
            directory: Where data and logs go.
            contracts: The directory of the contracts.
            prefix: Of the names of topics.
            databases: Captured by Debezium, by server name of the source contracts.
            settings: More settings of the platform, `AGENTFLOW_…`.
            lake_seconds: How often the lake is committed.
            brisk: Let broker and Flink skip Java's optimising compiler, which takes a core for
                minutes; without it they do more for longer runs.
        """
        self.directory = directory.absolute()
        self.contracts = contracts.absolute()
        self.registry: Registry = load(self.contracts)
        self.prefix = prefix
        self.databases = dict(databases or {})
        self.kafka, self.s3 = Kafka(brisk=brisk), S3()
        self.catalog = IcebergRest(self.s3)
        self._settings = dict(settings or {})
        self._lake_seconds = lake_seconds
        self._brisk = brisk
        self._jobs: dict[str, str] = {}

    @contextmanager
    def running(self, told: Told = nobody) -> Iterator[Self]:
        """Start everything, in the order of who needs whom; stop it at the end of the block.

        Raises:
            StackError: A part did not become healthy.
        """
        with ExitStack() as stack:
            for service in (*self.databases.values(), self.kafka, self.s3, self.catalog):
                self._start(stack, service, told)
            self._make_topics()
            wheel = install_wheel(self.directory / "platform")
            self.flink = Flink(pythonpath=(wheel,), brisk=self._brisk)
            self.lake_flink = LakeFlink(pythonpath=(wheel,), brisk=self._brisk)
            for cluster in (self.flink, self.lake_flink):
                self._start(stack, cluster, told)
            self.make_tables()
            for job in ("gate", "lake"):
                self._timed(f"job {job}", told, partial(self.start_job, job))
            if self.databases:
                self.connect = Connect(self.kafka, environment=self._captured())
                self._start(stack, self.connect, told)
            self.api = Api(self.contracts, self.environment)
            self._start(stack, self.api, told)
            yield self

    @property
    def config(self) -> KafkaConfig:
        """How clients reach the topics."""
        return KafkaConfig(self.kafka.bootstrap, prefix=self.prefix)

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the platform."""
        return {
            "AGENTFLOW_BUS": "kafka",
            "AGENTFLOW_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "AGENTFLOW_KAFKA_PREFIX": self.prefix,
            **self.catalog.platform_settings,
            # The catalog moves at a commit: asking more often is work for nothing.
            "AGENTFLOW_LAKE_INTERVAL_SECONDS": str(self._lake_seconds / 2),
            **self._settings,
        }

    def capture(self) -> None:
        """Apply the connectors of the source contracts and wait until all of them run.

        The tables must exist. From then on a kill of Connect loses nothing: places are stored.

        Raises:
            StackError: A connector does not run.
        """
        with closing(ConnectClient(self.connect.url)) as client:
            wanted = connectors_of(self.registry)
            for connector in wanted:
                client.apply(connector)

            def ailments() -> list[Ailment]:
                return [ailment for each in wanted for ailment in client.ailments(each.name)]

            if not wait_until(lambda: not ailments(), within=_RUNNING_WITHIN):
                raise StackError(
                    f"connectors do not run: {ailments()}", fix=f"Read {self.connect.log_path}."
                )

    def start_job(self, name: str, *, since: str | None = None) -> str:
        """Submit a job (`gate`, `lake`) and wait until its tasks run; return its id.

        Raises:
            StackError: It was refused, or its tasks do not run.
        """
        options = ["--checkpoint-interval", str(self._lake_seconds)] if name == "lake" else []
        if since is not None:
            options += ["--from-checkpoint", since]
        cluster = self._cluster(name)
        job = start(name, cluster, self.contracts, *options, settings=self.environment)
        self._jobs[name] = job
        self._await_tasks(cluster, job)
        return job

    def stop_job(self, name: str) -> str | None:
        """Cancel a job, wait until it has ended, and return the URI of its last checkpoint.

        Raises:
            StackError: It goes on.
        """
        cluster, job = self._cluster(name), self._jobs.pop(name)
        cancel(cluster, job)

        def ended() -> bool:
            found = http_json(f"{cluster.url}/jobs/{job}")
            return bool(found) and found["state"] == "CANCELED"

        if not wait_until(ended, within=_RUNNING_WITHIN):
            raise StackError(f"job {job} does not end", fix=f"Read {cluster.log_path}.")
        return last_checkpoint(cluster, job)

    def make_tables(self) -> None:
        """Make the lake's tables: the job that writes them does not."""
        location = lake_location(Settings.model_validate(_fields(self.environment)))
        assert location is not None  # noqa: S101 - our own settings
        cache = self.directory / "lake-cache"
        open_remote_lake(location, self.registry, cache=cache, coverage=Progressed()).close()

    def restart_cluster(self, cluster: Flink) -> None:
        """Start a cluster again after its JobManager died, and its job from its last checkpoint.

        Without a quorum service a JobManager that died has lost its jobs, not their checkpoints.
        """
        cluster.restart()
        for name, job in tuple(self._jobs.items()):
            if self._cluster(name) is cluster:
                self.start_job(name, since=last_checkpoint(cluster, job))

    def _cluster(self, job: str) -> Flink:
        return self.lake_flink if job == "lake" else self.flink

    def _start(self, stack: ExitStack, service: Service, told: Told) -> None:
        self._timed(
            service.name,
            told,
            lambda: stack.enter_context(service.running(self.directory / service.name)),
        )

    def _timed(self, name: str, told: Told, start: Callable[[], _T]) -> _T:
        began = time.monotonic()
        value = start()
        place = " ".join(value.addresses.values()) if isinstance(value, Service) else str(value)
        told(name, time.monotonic() - began, place)
        return value

    def _make_topics(self) -> None:
        policy = TopicPolicy(prefix=self.prefix)
        changes = [Topic(name, 1, 1) for name in Sources(self.registry).topics]
        wanted = [Create(topic) for topic in (*wanted_topics(policy), *changes)]
        KafkaAdmin(self.config).apply(wanted, done=lambda _: None)

    def _captured(self) -> dict[str, str]:
        found = {"AGENTFLOW_KAFKA_BOOTSTRAP": self.kafka.bootstrap}
        for server, database in self.databases.items():
            name = f"AGENTFLOW_{server.upper()}"
            secret = getattr(database, "password", "unused")
            found |= {
                f"{name}_HOST": "127.0.0.1",
                f"{name}_PORT": str(database.port()),
                f"{name}_USER": database.user,
                f"{name}_PASSWORD": secret,
            }
        return found

    def _await_tasks(self, cluster: Flink, job: str) -> None:
        def tasks_run() -> bool:
            found = http_json(f"{cluster.url}/jobs/{job}")
            return bool(found) and all(
                vertex["status"] == "RUNNING" for vertex in found["vertices"]
            )

        if not wait_until(tasks_run, within=_RUNNING_WITHIN):
            raise StackError(f"job {job} does not run", fix=f"Read {cluster.log_path}.")


def last_checkpoint(flink: Flink, job: str) -> str | None:
    """Return the URI of the newest complete checkpoint of a job; None before the first."""
    found = sorted(
        (flink.checkpoint_directory / job).glob("chk-*/_metadata"),
        key=lambda path: int(path.parent.name.removeprefix("chk-")),
    )
    return found[-1].parent.as_uri() if found else None


def _fields(environment: Mapping[str, str]) -> dict[str, str]:
    prefix = "AGENTFLOW_"
    return {name.removeprefix(prefix).lower(): value for name, value in environment.items()}
