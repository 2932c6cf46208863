"""What a consumer group has committed, and where partitions end, without being its member.

The driver's administrative calls for groups are not used: one that timed out while a broker was
gone brings the process down when the broker comes back (librdkafka, issue 4605).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from threading import Event, Lock
from typing import Final

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.faults import Faults, is_passing

_AGAIN_SECONDS: Final = 0.1


class GroupPositions:
    """Asks about one consumer group. Thread-safety: any thread; they take turns.

    A coordinator that starts or moves is asked again until the configured timeout.

    Raises:
        UnavailableError: The cluster does not answer in time (every method).
        StorageError: It refuses (every method).
    """

    def __init__(self, config: KafkaConfig, group: str) -> None:
        """Prepare; nothing is asked yet."""
        self._config = config
        self._faults = Faults(config.bootstrap)
        self._lock = Lock()
        properties = config.client(
            self._faults.heard,
            group_id=group,
            enable_auto_commit=False,
            enable_auto_offset_store=False,
            allow_auto_create_topics=False,
        )
        self._consumer = Consumer(properties)

    def committed(self, places: Iterable[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        """Return the next offset of those (topic, partition) that the group committed ever."""
        asked = [TopicPartition(name, partition) for name, partition in places]
        if not asked:
            return {}
        timeout = self._config.timeout_seconds
        found = self._asked(partial(self._consumer.committed, asked, timeout=timeout))
        return {(p.topic, p.partition): p.offset for p in found if p.offset >= 0}

    def ends(self, places: Iterable[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        """Return the offset that the next record of each (topic, partition) will be given."""
        asked = [TopicPartition(name, partition, OFFSET_END) for name, partition in places]
        if not asked:
            return {}
        timeout = self._config.timeout_seconds
        found = self._asked(partial(self._consumer.offsets_for_times, asked, timeout=timeout))
        return {(p.topic, p.partition): p.offset for p in found}

    def _asked(self, ask: Callable[[], Sequence[TopicPartition]]) -> Sequence[TopicPartition]:
        deadline = time.monotonic() + self._config.timeout_seconds
        pause = Event()
        with self._lock, self._faults.translated():
            while True:
                try:
                    found = _without_errors(ask())
                except KafkaException as error:
                    self._consumer.poll(0)  # hear why before saying it
                    if not is_passing(error.args[0]) or time.monotonic() > deadline:
                        raise
                    pause.wait(_AGAIN_SECONDS)
                else:
                    self._consumer.poll(0)
                    self._faults.forget()
                    return found

    def close(self) -> None:
        """Let connections go."""
        with self._lock:
            self._consumer.close()


def _without_errors(places: Sequence[TopicPartition]) -> Sequence[TopicPartition]:
    for place in places:
        if place.error is not None:
            raise KafkaException(place.error)
    return places
