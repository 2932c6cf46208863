"""Topics as code: what the platform needs on the broker, derived and not configured by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from agentflow.errors import ParameterError
from ingestion.kafka.config import MAX_MESSAGE_BYTES, PREFIX
from ingestion.log.port import DEAD_LETTERS, DUPLICATES, RAW, SESSIONS, VALIDATED
from ingestion.log.topic_names import checked_topic

CLEANUP: Final = "cleanup.policy"
RETENTION: Final = "retention.ms"
MIN_INSYNC: Final = "min.insync.replicas"
MAX_MESSAGE: Final = "max.message.bytes"
TIMESTAMPS: Final = "message.timestamp.type"
COMPACT: Final = "compact"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it should be.

    Attributes:
        name: As the broker knows it, with its prefix.
        keyed: Every record has a key. Without keys, compaction would keep one record of all.
        sequencer: It has one partition, because its offsets are the one order all replicas share.
        config: Broker properties that we decide; all others are the cluster's.
    """

    name: str
    partitions: int
    replication: int
    keyed: bool = False
    sequencer: bool = False
    config: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.partitions < 1 or self.replication < 1:
            raise ParameterError(
                f'topic "{self.name}" needs at least one partition and one replica'
            )
        if self.sequencer and self.partitions > 1:
            raise ParameterError(
                f'topic "{self.name}" gives the one order of events and has one partition',
                hint="More partitions belong on the raw topic.",
            )
        if COMPACT in policies(self.config.get(CLEANUP, "")) and not self.keyed:
            raise ParameterError(
                f'topic "{self.name}" has records without a key and cannot be compacted',
                hint="Use cleanup.policy=delete: compaction keeps the last record of each key.",
            )
        if int(self.config.get(MIN_INSYNC, "1")) > self.replication:
            raise ParameterError(
                f'topic "{self.name}" wants more replicas in sync than it has',
                hint="AGENTFLOW_KAFKA_MIN_INSYNC must not be above AGENTFLOW_KAFKA_REPLICATION.",
            )


@dataclass(frozen=True, slots=True)
class TopicPolicy:
    """What a deployment decides about all topics.

    Attributes:
        retention: How long events stay; it has to outlast the longest outage of lake and replicas.
        max_message_bytes: Largest record; a dead letter quotes its event, so it is the larger one.
    """

    prefix: str = PREFIX
    raw_partitions: int = 3
    replication: int = 1
    min_insync: int = 1
    retention: timedelta = timedelta(days=7)
    max_message_bytes: int = MAX_MESSAGE_BYTES


def wanted_topics(policy: TopicPolicy) -> tuple[Topic, ...]:
    """Return the topics of the platform, in the order of an event's way.

    `validated` has one partition: it is the sequencer, its offsets are every reader's. What follows
    it (dead letters, duplicates) is small and read as a whole. These are not compacted: each record
    is an event, not the state of its key. A record of `sessions` is: a job that repeats itself
    after a failure writes the same session again. On `raw` and `sessions` the broker writes the
    time: with a producer's own, retention would take a replay of last year at once, and a clock
    that is ahead would be refused.
    """
    return (
        _topic(policy, RAW, partitions=policy.raw_partitions, time="LogAppendTime"),
        _topic(policy, VALIDATED, sequencer=True),
        _topic(policy, DEAD_LETTERS, sequencer=True),
        _topic(policy, DUPLICATES, sequencer=True),
        _topic(policy, SESSIONS, keyed=True, time="LogAppendTime"),
    )


def change_topics(policy: TopicPolicy, names: Iterable[str]) -> tuple[Topic, ...]:
    """Return the topics of captured tables, as Debezium would make them at their first change.

    The gate reads them from its start on, so they have to be there before.
    """
    return tuple(Topic(name, 1, policy.replication, config={CLEANUP: "delete"}) for name in names)


def _topic(
    policy: TopicPolicy,
    topic: str,
    *,
    partitions: int = 1,
    keyed: bool = False,
    sequencer: bool = False,
    time: str = "CreateTime",
) -> Topic:
    config = {
        CLEANUP: f"{COMPACT},delete" if keyed else "delete",
        RETENTION: str(policy.retention // timedelta(milliseconds=1)),
        MIN_INSYNC: str(policy.min_insync),
        MAX_MESSAGE: str(policy.max_message_bytes),
        TIMESTAMPS: time,
    }
    return Topic(
        f"{policy.prefix}.{checked_topic(topic)}",
        partitions,
        policy.replication,
        keyed=keyed,
        sequencer=sequencer,
        config=config,
    )


def policies(value: str) -> frozenset[str]:
    """Return the parts of a `cleanup.policy`; their order means nothing."""
    return frozenset(part.strip() for part in value.split(",") if part.strip())
