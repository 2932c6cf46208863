"""What a topic of Kafka holds, read by the driver alone."""

from __future__ import annotations

from confluent_kafka import Consumer, TopicPartition

from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.faults import Faults
from ingestion.kafka.records import record_of
from ingestion.log.port import Record

_SECONDS = 30


def records_in(
    config: KafkaConfig, topic: str, *, partition: int = 0, start: int = 0
) -> list[Record]:
    """Return the records of a partition at or after *start*, as far as it reaches now."""
    with _consumer(config) as consumer:
        place = TopicPartition(config.topic_name(topic), partition, start)
        low, end = consumer.get_watermark_offsets(place, timeout=_SECONDS, cached=False)
        found: list[Record] = []
        consumer.assign([place])
        reached = max(start, low)
        while reached < end:
            message = consumer.poll(_SECONDS)
            assert message is not None, f"{topic}: {reached} of {end}"
            assert message.error() is None, f"{topic}: {message.error()}"
            found.append(record_of(message, topic))
            reached = found[-1].offset + 1
    return found


def all_records(config: KafkaConfig, topic: str) -> list[Record]:
    """Return the records of every partition of *topic*."""
    count = KafkaAdmin(config).partitions()[config.topic_name(topic)]
    return [
        record
        for partition in range(count)
        for record in records_in(config, topic, partition=partition)
    ]


def end_of(config: KafkaConfig, topic: str, partition: int = 0) -> int:
    """Return the offset that the next record of a partition will be given."""
    with _consumer(config) as consumer:
        place = TopicPartition(config.topic_name(topic), partition)
        _, end = consumer.get_watermark_offsets(place, timeout=_SECONDS, cached=False)
    return int(end)


def commit_position(config: KafkaConfig, group: str, topic: str, offset: int) -> None:
    """Commit the next offset of a topic's first partition, as a group's member would."""
    with _consumer(config, group) as consumer:
        place = TopicPartition(config.topic_name(topic), 0, offset)
        consumer.commit(offsets=[place], asynchronous=False)


def _consumer(config: KafkaConfig, group: str = "tests") -> Consumer:
    heard = Faults(config.bootstrap).heard
    return Consumer(config.client(heard, group_id=group, enable_auto_commit=False))
