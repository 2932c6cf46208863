"""Look at the topics of a broker and carry a plan out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import timedelta
from threading import Event
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from agentflow.errors import TopicUnknownError, UnavailableError
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.faults import Faults
from ingestion.kafka.topic_plan import Alter, Create, FoundTopic, Grow, TopicChange
from ingestion.kafka.topics import Topic

_SETTLING: Final = timedelta(seconds=30)
_PAUSE_SECONDS: Final = 0.02
_GRACE_SECONDS: Final = 5
"""The driver itself gives a request up in time; this is for when it does not."""


class KafkaAdmin:
    """What the administrator may do. Thread-safety: any thread.

    Raises:
        UnavailableError: The cluster cannot be reached (every method).
        StorageError: It refuses (every method).
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._faults = Faults(config.bootstrap)
        self._client = AdminClient(config.client(self._faults.heard))
        self._options = {"request_timeout": config.timeout_seconds}
        self._patience = config.timeout_seconds + _GRACE_SECONDS

    def cluster_id(self) -> str:
        """Return the id the cluster was given when it was formatted."""
        return str(self._metadata().cluster_id)

    def partitions(self) -> Mapping[str, int]:
        """Return every topic of the cluster, by the broker's name, with its partitions."""
        topics = self._metadata().topics
        return {name: len(topic.partitions) for name, topic in topics.items()}

    def find(self, names: Iterable[str]) -> Sequence[FoundTopic]:
        """Return those of *names* that exist, as they are."""
        topics = self._metadata().topics
        there = [name for name in names if name in topics]
        if not there:
            return ()
        configs = self._configs(there)
        return [
            FoundTopic(
                name,
                len(topics[name].partitions),
                min(len(part.replicas) for part in topics[name].partitions.values()),
                configs[name],
            )
            for name in there
        ]

    def apply(
        self, changes: Iterable[TopicChange], *, done: Callable[[TopicChange], None] | None = None
    ) -> None:
        """Carry *changes* out in order and wait until every broker shows it; tell *done* of each.

        Doing it again after a failure is harmless: plan again first.
        """
        for change in changes:
            match change:
                case Create(topic):
                    self._create(topic)
                case Grow(name, _, wanted):
                    self._each(
                        self._client.create_partitions(
                            [NewPartitions(name, wanted)], **self._options
                        )
                    )
                    self._settle(name, wanted)
                case Alter(name, _, wanted_config):
                    self._alter(name, wanted_config)
            if done is not None:
                done(change)

    def _create(self, topic: Topic) -> None:
        new = NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=topic.replication,
            config=dict(topic.config),
        )
        self._each(self._client.create_topics([new], **self._options))
        self._settle(topic.name, topic.partitions)

    def _alter(self, name: str, config: Mapping[str, str]) -> None:
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        self._each(self._client.incremental_alter_configs([resource], **self._options))

    def _configs(self, names: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        found = self._each(self._client.describe_configs(resources, **self._options))
        return {
            resource.name: {key: entry.value for key, entry in entries.items()}
            for resource, entries in found.items()
        }

    def _settle(self, name: str, partitions: int) -> None:
        """Wait until every partition is shown and led: the controller answers before brokers know.

        A broker that shows a partition may not lead it yet. What is produced to it meanwhile can be
        lost (`report_of`).
        """
        pause = Event()
        for _ in range(int(_SETTLING.total_seconds() / _PAUSE_SECONDS)):
            if self.partitions().get(name, 0) >= partitions and self._led(name, partitions):
                return
            pause.wait(_PAUSE_SECONDS)
        raise UnavailableError(
            f'topic "{name}" was made but is not served yet', hint="Run it again in a moment."
        )

    def _led(self, name: str, partitions: int) -> bool:
        """Return whether the leader of every partition answers; only leaders know offsets."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = {TopicPartition(name, number): latest for number in range(partitions)}
        futures = self._client.list_offsets(wanted, **self._options)
        try:
            self._each(futures)
        except (TopicUnknownError, UnavailableError):
            return False
        return True

    def _metadata(self) -> Any:  # noqa: ANN401 - the driver's metadata has no types
        try:
            found = self._client.list_topics(timeout=self._config.timeout_seconds)
        except KafkaException as error:
            self._client.poll(0)  # hear why before saying it
            raise self._faults.error(error.args[0]) from error
        self._faults.forget()
        return found

    def _each(self, futures: Mapping[Any, Future[Any]]) -> Mapping[Any, Any]:
        """Wait for every answer; the first refusal is the one that is raised."""
        with self._faults.translated():
            try:
                return {key: future.result(self._patience) for key, future in futures.items()}
            except FutureTimeoutError as error:
                raise UnavailableError(
                    f'kafka at "{self._config.bootstrap}" did not answer in time',
                    hint="Look at what there is now, and try again.",
                ) from error
