"""The producer of the intake: one idempotent client that every request shares, without waiting.

A request hands its records over and awaits their places. One thread waits for the broker's answers
and wakes the event loop once for each request, not once for each record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from threading import Event, Lock
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from agentflow.errors import AgentFlowError, BacklogFullError, RecordTooLargeError, UnavailableError
from agentflow.supervision import Supervisor, reason_of
from agentflow.wording import counted
from ingestion.kafka.config import MAX_MESSAGE_BYTES, KafkaConfig
from ingestion.kafka.faults import DRIVER_ERRORS, Faults
from ingestion.kafka.records import MICROS_PER_MILLI, size_bytes
from ingestion.log.port import NewRecord, RecordOffset

CAPACITY_RECORDS: Final = 100_000
CAPACITY_BYTES: Final = 128 << 20
DELIVERY_TIMEOUT: Final = timedelta(seconds=10)
_MESSAGE_OVERHEAD_BYTES: Final = 1_024
_WAKE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Backlog:
    """What was handed over and is not acknowledged yet."""

    records: int
    size_bytes: int


def producer_properties(*, delivery_timeout: timedelta, max_message_bytes: int) -> dict[str, Any]:
    """Return the properties of an idempotent producer that never waits to fill a batch.

    `murmur2_random` puts a key where Kafka's Java clients put it: the partition of a key does not
    depend on who produced.
    """
    return {
        "enable_idempotence": True,
        "acks": "all",
        "linger_ms": 0,
        "partitioner": "murmur2_random",
        "delivery_timeout_ms": int(delivery_timeout.total_seconds() * 1_000),
        "message_max_bytes": max_message_bytes + _MESSAGE_OVERHEAD_BYTES,
        "topic_metadata_propagation_max_ms": 2_000,
    }


class KafkaProducer:
    """Appends records from an event loop.

    Delivery: a record is on all in-sync replicas when `send` returns; when it raises, some may be.
    Order: records of one key keep the order of the calls. Thread-safety: `send` from any event
    loop, several at once.
    """

    def __init__(
        self,
        config: KafkaConfig,
        *,
        capacity_records: int = CAPACITY_RECORDS,
        capacity_bytes: int = CAPACITY_BYTES,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        delivery_timeout: timedelta = DELIVERY_TIMEOUT,
        supervisor: Supervisor | None = None,
    ) -> None:
        self._config = config
        self._faults = Faults(config.bootstrap)
        self._capacity = Backlog(capacity_records, capacity_bytes)
        self._max_message_bytes = max_message_bytes
        properties = producer_properties(
            delivery_timeout=delivery_timeout, max_message_bytes=max_message_bytes
        )
        self._client = Producer(
            config.client(
                self._faults.heard,
                **properties,
                queue_buffering_max_messages=capacity_records + 1,
                queue_buffering_max_kbytes=2 * (capacity_bytes >> 10),
            )
        )
        self._lock = Lock()
        self._records = 0
        self._bytes = 0
        self._closing = Event()
        supervisor = supervisor or Supervisor()
        self._thread = supervisor.thread("kafka-producer", "stream", self._serve)
        self._thread.start()

    @property
    def backlog(self) -> Backlog:
        """How much waits for the broker at this moment."""
        return Backlog(self._records, self._bytes)

    def check(self) -> None:
        """Ask the cluster for an answer, so that trouble is known before the first event.

        Raises:
            UnavailableError: It does not answer, or refuses who we are or how we speak.
        """
        try:
            self._client.list_topics(timeout=self._config.timeout_seconds)
        except KafkaException as error:
            raise self._faults.error(error.args[0]) from error

    async def send(self, topic: str, records: Sequence[NewRecord]) -> Sequence[RecordOffset]:
        """Append *records* to *topic* and return where each is, in the same order.

        Raises:
            BacklogFullError: Too much waits already; nothing was taken.
            RecordTooLargeError: One is larger than the topic takes; nothing was taken.
            UnavailableError: The broker did not take all of them in time; sending again can help.
            StorageError: The broker refuses; sending again cannot help.
        """
        if not records:
            return ()
        name = self._config.topic_name(topic)
        sizes = [size_bytes(record) for record in records]
        self._reserve(sizes)
        delivery = _Delivery(asyncio.get_running_loop(), len(records), self._faults)
        for index, (record, size) in enumerate(zip(records, sizes, strict=True)):
            try:
                self._produce(name, record, partial(self._delivered, delivery, index, size))
            except DRIVER_ERRORS as error:
                self._release(len(records) - index, sum(sizes[index:]))
                with self._faults.translated():
                    raise error from None
        return await delivery.places

    def _produce(self, name: str, record: NewRecord, delivered: Any) -> None:  # noqa: ANN401
        self._client.produce(
            name,
            record.value,
            record.key,
            on_delivery=delivered,
            timestamp=record.timestamp_us // MICROS_PER_MILLI,
            headers=list(record.headers.items()),
        )

    def _reserve(self, sizes: Sequence[int]) -> None:
        if (largest := max(sizes)) > self._max_message_bytes:
            raise RecordTooLargeError(
                f"a record of {largest} bytes is larger than {self._max_message_bytes}",
                hint="Send less in one event, or raise AGENTFLOW_KAFKA_MAX_MESSAGE_BYTES.",
            )
        total, room = sum(sizes), self._capacity
        with self._lock:
            if self._closing.is_set():
                raise UnavailableError("the producer is closed", hint="The process is stopping.")
            if self._records + len(sizes) > room.records or self._bytes + total > room.size_bytes:
                raise BacklogFullError(
                    f"{counted(self._records, 'record')} already waiting for kafka",
                    hint="Send again in a second; slow down if it happens often.",
                )
            self._records += len(sizes)
            self._bytes += total

    def _release(self, records: int, total: int) -> None:
        with self._lock:
            self._records -= records
            self._bytes -= total

    def _delivered(
        self, delivery: _Delivery, index: int, size: int, error: KafkaError | None, message: Message
    ) -> None:
        self._release(1, size)
        try:
            delivery.arrived(index, error, message)
        except BaseException as failure:
            delivery.lost(failure)
            raise

    def _serve(self) -> None:
        """Wait for what the broker says until the producer is closed and nothing is owed."""
        while not self._closing.is_set() or self._records:
            self._client.poll(_WAKE_SECONDS)
            self._thread.activity.well()

    def close(self) -> None:
        """Take nothing more, deliver what was taken or give it up at the delivery timeout."""
        with self._lock:
            self._closing.set()
        self._thread.stop()


class _Delivery:
    """The places of the records of one `send`, completed in the thread of the producer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int, faults: Faults) -> None:
        self._loop = loop
        self._missing = count
        self._faults = faults
        self._error: AgentFlowError | None = None
        self._found: list[RecordOffset | None] = [None] * count
        self.places: asyncio.Future[Sequence[RecordOffset]] = loop.create_future()

    def arrived(self, index: int, error: KafkaError | None, message: Message) -> None:
        """Take in one report; the last one wakes the caller."""
        self._missing -= 1
        report = report_of(error, message, self._faults)
        if isinstance(report, RecordOffset):
            self._found[index] = report
        else:
            self._error = self._error or report
        if not self._missing:
            self._wake()

    def lost(self, failure: BaseException) -> None:
        """End the wait: a report could not be taken in, so nothing will ever complete it."""
        self._error = UnavailableError(
            f"what became of a record is not known: {reason_of(failure)}",
            hint="Send it again; an event that was stored after all is counted once by its id.",
        )
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._complete)
        except RuntimeError:  # the loop is closed: nothing waits any more
            return

    def _complete(self) -> None:
        if self.places.done():  # who waited was cancelled
            return
        if self._error is not None:
            self.places.set_exception(self._error)
            return
        self._faults.forget()
        self.places.set_result([place for place in self._found if place is not None])


def report_of(
    error: KafkaError | None, message: Message, faults: Faults
) -> RecordOffset | AgentFlowError:
    """Return where a record is, or why it cannot be said to be stored.

    librdkafka takes a record for delivered, without an offset, when the broker took a later one of
    the same partition and refused this one as from a partition it does not lead yet. A broker that
    knows nothing of the producer in that partition takes any first number, so the earlier record
    may be lost: without an offset it counts as not stored.
    """
    if error is not None:
        return faults.error(error)
    partition, offset = message.partition(), message.offset()
    if partition is None or offset is None:
        return UnavailableError(
            "kafka did not say where it stored a record, so it may be lost",
            hint="Send it again; an event that was stored after all is counted once by its id.",
        )
    return RecordOffset(partition, offset)
