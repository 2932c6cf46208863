"""The job of the stream as a plain Python consumer: stands in for Flink in tests and benches.

At least once: what a broker's death or a restart makes it judge again, it answers for again.
"""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Event, Thread

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from agentflow.contracts import Registry
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.records import record_of
from ingestion.kafka.stream import job_group
from ingestion.log.port import RAW, NewRecord
from tests.fakes.stream_job import PlainJob

_AT_ONCE = 500


class PlainGate:
    """Follows `raw` in a thread of its own and writes the three topics.

    Attributes:
        per_second: Judge no more than that; None for as many as there are.
        judged: How many records were.
    """

    def __init__(self, config: KafkaConfig, registry: Registry, *, partitions: int) -> None:
        self.per_second: int | None = None
        self.judged = 0
        self._due = 0.0
        self._config = config
        self._raw_topic = config.topic_name(RAW)
        self._job = PlainJob(registry)
        self._consumer = Consumer(
            config.client(
                lambda _: None,
                group_id=job_group(config),
                enable_auto_offset_store=False,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_wait_max_ms=20,
            )
        )
        self._consumer.assign([TopicPartition(self._raw_topic, n, 0) for n in range(partitions)])
        self._producer = Producer(
            config.client(lambda _: None, enable_idempotence=True, acks="all", linger_ms=0)
        )
        self._running = Event()
        self._running.set()
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="plain-gate", daemon=True)
        self._thread.start()

    def halt(self) -> None:
        """Judge nothing until `go_on`; at most one record more comes out."""
        self._running.clear()

    def go_on(self) -> None:
        """Judge again."""
        self._running.set()

    def close(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._running.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._running.wait()
            message = self._consumer.poll(0.1)
            done = 0
            started = time.monotonic()
            while message is not None and done < _AT_ONCE:
                if message.error() is None:
                    record = record_of(message, RAW)
                    for output in self._job.outcomes(record, self._raw_topic):
                        self._produce(self._config.topic_name(output.topic), output.record)
                    self._consumer.store_offsets(message)
                    done += 1
                if not self._running.is_set() or self._over(done):
                    break
                message = self._consumer.poll(0)
            self.judged += done
            self._producer.poll(0)
            self._checkpoint()
            self._keep_pace(done, started)

    def _checkpoint(self) -> None:
        """Say how far it has come, now and then, once that is stored."""
        if time.monotonic() < self._due or self._producer.flush(0.2):
            return
        self._due = time.monotonic() + 1
        with suppress(KafkaException):
            self._consumer.commit(asynchronous=True)

    def _produce(self, topic: str, new: NewRecord) -> None:
        headers, timestamp = list(new.headers.items()), new.timestamp_us // 1_000
        while True:
            try:
                self._producer.produce(
                    topic, new.value, new.key, headers=headers, timestamp=timestamp
                )
            except (BufferError, KafkaException):
                self._producer.poll(0.1)
            else:
                return

    def _over(self, done: int) -> bool:
        return self.per_second is not None and done >= max(self.per_second // 20, 1)

    def _keep_pace(self, done: int, started: float) -> None:
        if self.per_second is not None:
            left = done / self.per_second - (time.monotonic() - started)
            self._stopping.wait(max(left, 0))
