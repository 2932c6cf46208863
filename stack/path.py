"""The whole stream path on one machine: services, topics, connectors, both jobs, the platform.

`with StreamPath(directory, contracts).running() as path:` is what the demonstration, the benches
and the tests of the whole path have in common; `python -m stack up --app` brings up the same and
leaves it running.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from agentflow.contracts import Registry
from agentflow.lint import load
from agentflow.settings import Settings
from ingestion.cdc import Sources
from ingestion.connectors import ConnectClient, ConnectorProblem, connectors_of
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.topic_plan import plan_topics
from ingestion.kafka.topics import TopicPolicy, change_topics, wanted_topics
from processing.lake import Progressed
from processing.lake.remote import open_remote_lake
from processing.lake.wiring import lake_location
from stack.errors import StackError
from stack.jobs import cancel, install_wheel, last_checkpoint, start, state_of
from stack.probe import http_json, wait_until
from stack.service import Service
from stack.services import Flink
from stack.services.api import Api
from stack.topology import Database, Services

_RUNNING_WITHIN = 300.0
JOBS = ("gate", "lake")
_T = TypeVar("_T")
Told = Callable[[str, float | None, str], None]
"""Told of a step twice: when it begins, and what is ready, after how many seconds and where."""


def nobody(name: str, seconds: float | None, place: str) -> None:
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
        databases: Mapping[str, Database] | None = None,
        settings: Mapping[str, str] | None = None,
        lake_seconds: float = 10,
        without_c2: bool = True,
        secure: bool = False,
    ) -> None:
        """Plan it; nothing starts yet.

        Args:
            directory: Where data and logs go.
            contracts: The directory of the contracts.
            prefix: Of the names of topics.
            databases: Captured by Debezium, by server name of the source contracts.
            settings: More settings of the platform, `AGENTFLOW_…`.
            lake_seconds: How often the lake is committed.
            without_c2: Let broker and Flink skip Java's optimising compiler, which takes a core for
                minutes; without it they do more for longer runs.
            secure: Whether the broker has a listener with TLS and passwords as well.
        """
        self.directory = directory.absolute()
        self.contracts = contracts.absolute()
        self.registry: Registry = load(self.contracts)
        self.prefix = prefix
        self.services = Services(
            self.directory, databases or {}, secure=secure, without_c2=without_c2
        )
        self.databases = self.services.databases
        self.kafka, self.s3 = self.services.kafka, self.services.s3
        self.catalog, self.connect = self.services.catalog, self.services.connect
        self.flink, self.lake_flink = self.services.flink, self.services.lake_flink
        self.api = Api(self.contracts, lambda: self.environment)
        self._settings = dict(settings or {})
        self._lake_seconds = lake_seconds

    @contextmanager
    def running(self, told: Told = nobody) -> Iterator[Self]:
        """Start everything, in the order of who needs whom; stop it at the end of the block.

        Raises:
            StackError: A part did not become healthy.
        """
        services = self.services
        with ExitStack() as stack:
            services.attach()
            for service in (*self.databases.values(), self.kafka, self.s3, self.catalog):
                self._start(stack, service, told)
            self.timed("topics", told, self.make_topics)
            self.timed("wheel", told, lambda: install_wheel(services.wheel))
            for cluster in (self.flink, self.lake_flink):
                self._start(stack, cluster, told)
            self.timed("lake tables", told, self.make_tables)
            self.ensure_jobs(told)
            if self.databases:
                self._start(stack, self.connect, told)
            self._start(stack, self.api, told)
            yield self

    def attach(self) -> Self:
        """Bind it to what runs in its directory, without starting anything."""
        self.services.attach()
        self.api.attach(self.directory / self.api.name)
        return self

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
            for connector, drift in zip(wanted, client.drift(wanted), strict=True):
                if not drift.settled:
                    client.apply(connector)

            def problems() -> list[ConnectorProblem]:
                return [problem for each in wanted for problem in client.problems(each.name)]

            if not wait_until(lambda: not problems(), within=_RUNNING_WITHIN):
                raise StackError(
                    f"connectors do not run: {problems()}", fix=f"Read {self.connect.log_path}."
                )

    def ensure_jobs(self, told: Told = nobody) -> None:
        """Start the jobs that do not run, each from its last checkpoint if it has one.

        Raises:
            StackError: One was refused, or its tasks do not run.
        """
        for name in JOBS:
            job = self.jobs.get(name)
            if job is None or state_of(self.cluster(name), job) != "RUNNING":
                self.timed(f"job {name}", told, partial(self._resume_job, name))

    def _resume_job(self, name: str) -> str:
        """Start a job from the last checkpoint of the one before it."""
        job = self.jobs.get(name)
        since = None if job is None else last_checkpoint(self.cluster(name), job)
        return self.start_job(name, since=since)

    def start_job(self, name: str, *, since: str | None = None) -> str:
        """Submit a job (`gate`, `lake`) and wait until its tasks run; return its id.

        Raises:
            StackError: It was refused, or its tasks do not run.
        """
        options = ["--checkpoint-interval", str(self._lake_seconds)] if name == "lake" else []
        if since is not None:
            options += ["--from-checkpoint", since]
        cluster = self.cluster(name)
        job = start(name, cluster, self.contracts, *options, settings=self.environment)
        self._remember(self.jobs | {name: job})
        self._await_tasks(cluster, job)
        return job

    def stop_job(self, name: str) -> str | None:
        """Cancel a job, wait until it has ended, and return the URI of its last checkpoint.

        Raises:
            StackError: It goes on.
        """
        jobs = self.jobs
        cluster, job = self.cluster(name), jobs.pop(name)
        cancel(cluster, job)
        if not wait_until(lambda: state_of(cluster, job) == "CANCELED", within=_RUNNING_WITHIN):
            raise StackError(f"job {job} does not end", fix=f"Read {cluster.log_path}.")
        self._remember(jobs)
        return last_checkpoint(cluster, job)

    @property
    def jobs(self) -> dict[str, str]:
        """The ids of the jobs that were started and not stopped, by name; kept on disk."""
        try:
            found: dict[str, str] = json.loads(self._jobs_path.read_text())
        except FileNotFoundError:
            return {}
        return found

    @property
    def _jobs_path(self) -> Path:
        return self.directory / "jobs.json"

    def _remember(self, jobs: Mapping[str, str]) -> None:
        self._jobs_path.write_text(json.dumps(jobs))

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
        for name in self.jobs:
            if self.cluster(name) is cluster:
                self._resume_job(name)

    def cluster(self, job: str) -> Flink:
        """Return the cluster a job runs on."""
        return self.lake_flink if job == "lake" else self.flink

    def _start(self, stack: ExitStack, service: Service, told: Told) -> None:
        self.timed(
            service.name,
            told,
            lambda: stack.enter_context(service.running(self.directory / service.name)),
        )

    def timed(self, name: str, told: Told, start: Callable[[], _T]) -> _T:
        """Do a step; tell that it begins, and how long it took."""
        told(name, None, "")
        began = time.monotonic()
        value = start()
        place = " ".join(value.addresses.values()) if isinstance(value, Service) else value
        told(name, time.monotonic() - began, str(place or ""))
        return value

    def make_topics(self) -> None:
        """Make the topics of the platform and of the captured tables that are missing."""
        admin = KafkaAdmin(self.config)
        policy = TopicPolicy(prefix=self.prefix)
        wanted = (
            *wanted_topics(policy),
            *change_topics(policy, Sources(self.registry).topics),
        )
        plan = plan_topics(wanted, admin.find(topic.name for topic in wanted), grow=False)
        admin.apply(plan.changes, done=lambda _: None)

    def _await_tasks(self, cluster: Flink, job: str) -> None:
        def tasks_run() -> bool:
            found = http_json(f"{cluster.url}/jobs/{job}")
            return bool(found) and all(
                vertex["status"] == "RUNNING" for vertex in found["vertices"]
            )

        if not wait_until(tasks_run, within=_RUNNING_WITHIN):
            raise StackError(f"job {job} does not run", fix=f"Read {cluster.log_path}.")


def _fields(environment: Mapping[str, str]) -> dict[str, str]:
    prefix = "AGENTFLOW_"
    return {name.removeprefix(prefix).lower(): value for name, value in environment.items()}
