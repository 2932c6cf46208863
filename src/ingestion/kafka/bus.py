"""The bus on Kafka: partitions, offsets and positions are the broker's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Final, Self

from confluent_kafka import KafkaError, Message, Producer

from agentflow.errors import AgentFlowError, TopicUnknownError
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import MAX_MESSAGE_BYTES, KafkaConfig
from ingestion.kafka.faults import Faults
from ingestion.kafka.positions import GroupPositions
from ingestion.kafka.producer import DELIVERY_TIMEOUT, producer_properties, report_of
from ingestion.kafka.reader import PartitionReader
from ingestion.kafka.records import MICROS_PER_MILLI
from ingestion.log.port import ONLY, NewRecord, Place, Record

_FLUSH_SECONDS: Final = 0.5


class KafkaBus:
    """A `Bus` on a Kafka cluster. Topics are made by `agentflow topics apply`, never by use.

    Delivery: all in-sync replicas have a record when `append` returns. Order: per key; a record
    without a key goes anywhere. Positions are committed offsets of the consumer group
    `<prefix>.<consumer>`; the broker forgets those of a group that is silent for longer than
    `offsets.retention.minutes`. Times have milliseconds. Thread-safety: any thread; readers of one
    bus take turns.
    """

    def __init__(
        self,
        config: KafkaConfig,
        *,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        delivery_timeout: timedelta = DELIVERY_TIMEOUT,
    ) -> None:
        self._config = config
        self._faults = Faults(config.bootstrap)
        self._admin = KafkaAdmin(config)
        self._reader = PartitionReader(config, max_message_bytes=max_message_bytes)
        properties = producer_properties(
            delivery_timeout=delivery_timeout, max_message_bytes=max_message_bytes
        )
        self._producer = Producer(config.client(self._faults.heard, **properties))
        self._appending = Lock()
        self._asking = Lock()
        self._positions: dict[str, GroupPositions] = {}
        self._log_id: str | None = None

    @property
    def log_id(self) -> str:
        """The id the cluster was given when it was formatted."""
        if self._log_id is None:
            self._log_id = self._admin.cluster_id()
        return self._log_id

    def partitions(self, topic: str) -> int:
        """Return how many partitions *topic* has now."""
        name = self._config.topic_name(topic)
        count = self._admin.partitions().get(name)
        if count is None:
            raise TopicUnknownError(
                f'topic "{name}" does not exist on kafka', hint="Run `agentflow topics apply`."
            )
        return count

    def append(self, topic: str, records: Sequence[NewRecord]) -> Sequence[Place]:
        """Store *records* and return where each is; see `Bus.append`.

        Raises:
            RecordTooLargeError: One is larger than the topic takes.
            TopicUnknownError: Nobody made the topic.
            UnavailableError: The broker did not take all of them in time.
            StorageError: The broker refuses.
        """
        name = self._config.topic_name(topic)
        found: list[Place | AgentFlowError | None] = [None] * len(records)
        with self._appending, self._faults.translated():
            for index, record in enumerate(records):
                self._produce(name, record, partial(self._delivered, found, index))
            while any(place is None for place in found):
                self._producer.flush(_FLUSH_SECONDS)
        return [_place_or_raise(place) for place in found]

    def _produce(self, name: str, record: NewRecord, delivered: object) -> None:
        self._producer.produce(
            name,
            record.value,
            record.key,
            on_delivery=delivered,  # type: ignore[arg-type]  # the driver calls it as we made it
            timestamp=record.timestamp_us // MICROS_PER_MILLI,
            headers=list(record.headers.items()),
        )

    def _delivered(
        self,
        found: list[Place | AgentFlowError | None],
        index: int,
        error: KafkaError | None,
        message: Message,
    ) -> None:
        found[index] = report_of(error, message, self._faults)

    def read(
        self, topic: str, *, start: int, limit: int, partition: int = ONLY
    ) -> Sequence[Record]:
        """Return up to *limit* records at or after *start*; what retention took is skipped."""
        return self._reader.read(topic, partition, start=start, limit=limit)

    def end(self, topic: str, partition: int = ONLY) -> int:
        """Return the offset the next record will be given."""
        return self._reader.bounds(topic, partition)[1]

    def position(self, consumer: str, topic: str, partition: int = ONLY) -> int:
        """Return the next offset *consumer* has to read; 0 when it never stored one."""
        place = (self._config.topic_name(topic), partition)
        return self._positions_of(consumer).committed([place]).get(place, 0)

    def store_position(self, consumer: str, topic: str, offset: int, partition: int = ONLY) -> None:
        """Remember durably that *consumer* is done with everything before *offset*."""
        self._positions_of(consumer).commit(self._config.topic_name(topic), partition, offset)

    def _positions_of(self, consumer: str) -> GroupPositions:
        with self._asking:
            if consumer not in self._positions:
                group = f"{self._config.prefix}.{consumer}"
                self._positions[consumer] = GroupPositions(self._config, group)
            return self._positions[consumer]

    def close(self) -> None:
        """Let connections go; what was acknowledged is safe without it."""
        self._reader.close()
        for positions in self._positions.values():
            positions.close()
        self._producer.flush(self._config.timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _place_or_raise(found: Place | AgentFlowError | None) -> Place:
    if isinstance(found, Place):
        return found
    if found is None:
        raise AssertionError("a record has no report")
    raise found
