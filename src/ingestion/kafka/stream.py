"""Reading followed topics from Kafka: assigned by hand, positions kept elsewhere, pushed to us.

A fetch waits at the broker until there is something (`fetch.wait.max.ms`); the client waits for the
fetch. Nothing here asks again and again for events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from agentflow.errors import OffsetLostError, TopicUnknownError
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.faults import Faults
from ingestion.kafka.positions import GroupPositions
from ingestion.kafka.records import record_of
from ingestion.log.port import RAW, Record
from ingestion.stream.port import TopicEnds

AT_ONCE: Final = 2_000
"""Most records that one `poll` returns."""

_WAIT_SECONDS: Final = 0.25
_RAW_SECONDS: Final = 2.0
_LOST: Final = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - the driver's own name
        KafkaError.OFFSET_OUT_OF_RANGE,
    }
)
_GONE: Final = frozenset({KafkaError._ALL_BROKERS_DOWN})  # noqa: SLF001 - the driver's own name


def reader_properties() -> dict[str, Any]:
    """Return the properties of a consumer that is in no group and reads everything, at once.

    The outcome of an event is read before its transaction ends: what is read twice counts once.
    Queues are bounded by bytes, so that memory is while a reader is slow.
    """
    return {
        "group_id": "agentflow-follower",  # the driver wants a name; nothing is committed under it
        "enable_auto_commit": False,
        "enable_auto_offset_store": False,
        "auto_offset_reset": "error",
        "isolation_level": "read_uncommitted",
        "fetch_wait_max_ms": 50,
        "fetch_min_bytes": 1,
        "fetch_error_backoff_ms": 20,
        "queued_max_messages_kbytes": 16_384,
        "fetch_message_max_bytes": 1 << 20,
        "fetch_max_bytes": 8 << 20,
    }


class KafkaStream:
    """Reads topics that have one partition each, and says where everything ends.

    Delivery: each record once for each `open`. Order: within a topic. Thread-safety: one thread,
    but for `ends`.
    """

    def __init__(
        self,
        config: KafkaConfig,
        topics: Iterable[str],
        *,
        changes: Iterable[str] = (),
        lost: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            config: The cluster.
            topics: Those to follow, by our names.
            changes: Topics with changes of databases, by the broker's names: raw as well.
            lost: Called, in any thread, when every broker is gone.
        """
        self._config = config
        self._faults = Faults(config.bootstrap)
        self._lost = lost
        self._raw_topics = (config.topic_name(RAW), *changes)
        self._names = {config.topic_name(topic): topic for topic in topics}
        self._consumer = Consumer(config.client(self._heard, **reader_properties()))
        self._admin = KafkaAdmin(config)
        self._positions = GroupPositions(config, job_group(config))
        self._raw: Consumer | None = None

    def _heard(self, error: KafkaError) -> None:
        self._faults.heard(error)
        if error.code() in _GONE:
            self._lost()

    def open(self, positions: Mapping[str, int]) -> None:
        """Begin to read each topic at its position."""
        self._consumer.assign(
            [TopicPartition(name, 0, positions[topic]) for name, topic in self._names.items()]
        )

    def poll(self) -> Sequence[Record]:
        """Wait for records and return those there are; or none, after a while.

        Raises:
            OffsetLostError: What comes next was deleted.
        """
        records: list[Record] = []
        message = self._consumer.poll(_WAIT_SECONDS)
        while message is not None:
            if (error := message.error()) is not None:
                self._fault(message, error)
            else:
                records.append(record_of(message, self._names[str(message.topic())]))
            if len(records) >= AT_ONCE:
                break
            message = self._consumer.poll(0)
        return records

    def _fault(self, message: Message, error: KafkaError) -> None:
        """Trouble with a connection passes by itself; a lost position does not."""
        if error.code() in _LOST:
            raise OffsetLostError(
                f"{message.topic()} does not hold offset {message.offset()} any more"
            )
        self._heard(error)

    def pause(self) -> None:
        """Let `poll` wait without reading."""
        self._consumer.pause(self._consumer.assignment())

    def resume(self) -> None:
        """Read on."""
        self._consumer.resume(self._consumer.assignment())

    def next_raw(self, place: str, offset: int, *, end: int) -> int | None:
        """Return the first offset of a raw partition from *offset* on that exists; else *end*.

        Only what is committed counts. None when the broker did not say in time.
        """
        topic, _, partition = place.rpartition("/")
        if self._raw is None:
            properties = reader_properties() | {
                "group_id": "agentflow-raw",
                "isolation_level": "read_committed",
                "auto_offset_reset": "earliest",
                "enable_partition_eof": True,
                "fetch_message_max_bytes": 1_024,
            }
            self._raw = Consumer(self._config.client(self._faults.heard, **properties))
        consumer = self._raw
        consumer.assign([TopicPartition(topic, int(partition), offset)])
        try:
            return _first(consumer, offset, end)
        finally:
            consumer.unassign()

    def ends(self) -> TopicEnds:
        """Ask the broker where everything ends; any thread.

        Raises:
            UnavailableError: It does not answer.
        """
        # Of all topics: to ask for one by its name could make it.
        topics = self._admin.partitions()
        raw = [(name, each) for name in self._raw_topics for each in range(topics.get(name, 0))]
        judged = self._positions.committed(raw)  # before the ends: it may not pass them
        ends = self._positions.ends([*((name, 0) for name in self._names), *raw])
        return TopicEnds(
            followed={topic: ends[name, 0] for name, topic in self._names.items()},
            raw={f"{name}/{each}": ends[name, each] for name, each in raw},
            judged={f"{name}/{each}": offset for (name, each), offset in judged.items()},
        )

    def close(self) -> None:
        """Stop reading; `ends` may still be asked."""
        self._consumer.close()
        if self._raw is not None:
            self._raw.close()


def _first(consumer: Consumer, offset: int, end: int) -> int | None:
    deadline = time.monotonic() + _RAW_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        message = consumer.poll(left)
        if message is None:
            continue
        error, there = message.error(), message.offset()
        if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            # An end before *end* is that of a transaction that is still open: not known yet.
            if there is None or (error is not None and there < end):
                return None
            return max(offset, min(there, end))
    return None


def job_group(config: KafkaConfig) -> str:
    """Return the consumer group under which the job that judges commits how far it has come.

    It commits after its outcomes are stored (Flink does it at each checkpoint).
    """
    return f"{config.prefix}.gate"


def require_topics(there: Mapping[str, int], names: Iterable[str]) -> None:
    """Check that every topic exists.

    Raises:
        TopicUnknownError: Naming those that do not.
    """
    missing = sorted(name for name in names if name not in there)
    if missing:
        raise TopicUnknownError(
            f"kafka has no topic {', '.join(missing)}", hint="Run `agentflow topics apply`."
        )
