"""Everything a platform that serves from Kafka needs of it, made from one configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from confluent_kafka import Consumer, KafkaException, TopicPartition

from agentflow.errors import UnavailableError
from agentflow.supervision import Supervisor
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import MAX_MESSAGE_BYTES, KafkaConfig
from ingestion.kafka.faults import Faults
from ingestion.kafka.producer import CAPACITY_RECORDS, DELIVERY_TIMEOUT, KafkaProducer
from ingestion.kafka.stream import KafkaStream, require_topics
from ingestion.log.port import RAW
from ingestion.stream.port import TopicBounds


class KafkaBroker:
    """Makes readers and senders, and looks at the cluster before there are any.

    Attributes:
        raw_topic: The broker's name of the raw topic.
    """

    def __init__(
        self,
        config: KafkaConfig,
        topics: Iterable[str],
        *,
        changes: Iterable[str] = (),
        capacity_records: int = CAPACITY_RECORDS,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        delivery_timeout: timedelta = DELIVERY_TIMEOUT,
    ) -> None:
        self._config = config
        self._topics = tuple(topics)
        self._changes = tuple(changes)
        self._capacity_records = capacity_records
        self._max_message_bytes = max_message_bytes
        self._delivery_timeout = delivery_timeout
        self.raw_topic = config.topic_name(RAW)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return "Kafka"

    def cluster_id(self) -> str | None:
        """Return the id of the cluster; None when no broker answers."""
        try:
            return KafkaAdmin(self._config).cluster_id()
        except UnavailableError:
            return None

    def lake_id(self) -> None:
        """Return None: the job writes the lake of its own catalog, which it tells nobody."""

    def bounds(self) -> Mapping[str, TopicBounds] | None:
        """Return where each topic begins and ends; None when no broker answers.

        Raises:
            TopicUnknownError: One of them, or raw, does not exist.
        """
        names = {topic: self._config.topic_name(topic) for topic in self._topics}
        try:
            there = KafkaAdmin(self._config).partitions()
        except UnavailableError:
            return None
        require_topics(there, [self.raw_topic, *names.values()])
        faults = Faults(self._config.bootstrap)
        consumer = Consumer(self._config.client(faults.heard, group_id="agentflow-bounds"))
        try:
            return {topic: self._bounds(consumer, name) for topic, name in names.items()}
        except KafkaException as error:
            failure = faults.error(error.args[0])
            if isinstance(failure, UnavailableError):
                return None
            raise failure from error
        finally:
            consumer.close()

    def _bounds(self, consumer: Consumer, name: str) -> TopicBounds:
        seconds = self._config.timeout_seconds
        found = consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=seconds)
        if found is None:
            raise UnavailableError(f'topic "{name}" does not say where it ends')
        return TopicBounds(*found)

    def stream(self, lost: Callable[[], None]) -> KafkaStream:
        """Return a reader; *lost* is called, in any thread, when every broker is gone."""
        return KafkaStream(self._config, self._topics, changes=self._changes, lost=lost)

    def sender(self, supervisor: Supervisor) -> KafkaProducer:
        """Return what appends to the raw topic."""
        return KafkaProducer(
            self._config,
            capacity_records=self._capacity_records,
            max_message_bytes=self._max_message_bytes,
            delivery_timeout=self._delivery_timeout,
            supervisor=supervisor,
        )
