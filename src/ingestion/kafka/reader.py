"""Read any slice of any partition: one consumer that is moved to where a reader wants to be."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from agentflow.errors import UnavailableError
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.faults import Faults
from ingestion.kafka.records import record_of
from ingestion.log.port import Record

_FETCH_WAIT_MS: Final = 20
_NO_GROUP: Final = "agentflow-readers"
"""The driver wants a name; nothing is ever committed under it."""


class PartitionReader:
    """Reads slices by offset, without a group. Thread-safety: any thread; they take turns.

    Raises:
        TopicUnknownError: There is no such topic or partition (every method).
        UnavailableError: The broker does not answer in time (every method).
    """

    def __init__(self, config: KafkaConfig, *, max_message_bytes: int) -> None:
        self._config = config
        self._faults = Faults(config.bootstrap)
        self._lock = Lock()
        self._consumer = Consumer(
            config.client(
                self._faults.heard,
                group_id=_NO_GROUP,
                enable_auto_commit=False,
                enable_auto_offset_store=False,
                enable_partition_eof=True,
                auto_offset_reset="earliest",
                isolation_level="read_uncommitted",
                allow_auto_create_topics=False,
                fetch_wait_max_ms=_FETCH_WAIT_MS,
                fetch_message_max_bytes=max_message_bytes,
            )
        )
        self._at: tuple[str, int, int] | None = None

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the offsets of the oldest record that is kept and of the next that will come."""
        with self._lock:
            return self._bounds(self._config.topic_name(topic), partition)

    def _bounds(self, name: str, partition: int) -> tuple[int, int]:
        try:
            found = self._consumer.get_watermark_offsets(
                TopicPartition(name, partition), timeout=self._config.timeout_seconds
            )
        except KafkaException as error:
            self._consumer.poll(0)  # hear why before saying it
            raise self._faults.error(error.args[0]) from error
        if found is None:
            raise UnavailableError(
                f'kafka did not say in time where topic "{name}" ends', hint="Try again later."
            )
        self._faults.forget()
        return found

    def read(self, topic: str, partition: int, *, start: int, limit: int) -> Sequence[Record]:
        """Return up to *limit* records at or after *start* that were there when it was called."""
        name = self._config.topic_name(topic)
        with self._lock:
            low, high = self._bounds(name, partition)
            first = max(start, low)
            records: list[Record] = []
            if first >= high or limit < 1:
                return records
            self._move(name, partition, first)
            while len(records) < limit and (message := self._next(high)) is not None:
                record = record_of(message, topic)
                if record.offset >= high:
                    break
                records.append(record)
                self._at = (name, partition, record.offset + 1)
                if record.offset + 1 >= high:
                    break
            return records

    def _move(self, name: str, partition: int, offset: int) -> None:
        """Go on where the last slice ended, or start anew: that costs a fetch."""
        if self._at != (name, partition, offset):
            self._consumer.assign([TopicPartition(name, partition, offset)])
        self._at = None

    def _next(self, high: int) -> Message | None:
        """Return the next message, or None when the partition has none before *high*.

        An end that lies before *high* is one the broker gave before the last append: it is passed.
        """
        while (message := self._consumer.poll(self._config.timeout_seconds)) is not None:
            error = message.error()
            if error is None:
                return message
            if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the driver's own name
                raise self._faults.error(error)
            if (message.offset() or 0) >= high:
                return None
        raise UnavailableError("kafka did not send a record in time", hint="Try again later.")

    def close(self) -> None:
        """Leave the cluster."""
        with self._lock:
            self._consumer.close()
