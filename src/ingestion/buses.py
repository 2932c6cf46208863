"""The buses that `AGENTFLOW_BUS` can name, and all that is particular about each.

`embedded` is none of them: there events become visible in the transaction that stores them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from agentflow.errors import TopicUnknownError
from agentflow.settings import Settings

if TYPE_CHECKING:
    from ingestion.gate.port import GateWork
    from ingestion.stream.port import Broker

Changes = Callable[[], Iterable[str]]
"""Returns the topics, by the broker's names, that hold changes of databases."""


@dataclass(frozen=True, slots=True)
class BusKind:
    """What a deployment gets with one value of `AGENTFLOW_BUS`.

    Attributes:
        broker: Makes what a platform follows.
        check: Asks the broker whether it has what is needed, and returns what is well; it raises
            an `AgentFlowError` with a hint otherwise.
        holds: Says which events are in the broker, and so in no backup of a data directory.
        gate: Opens what `agentflow gate` works on; None where other processes judge.
    """

    broker: Callable[[Settings, Changes], Broker]
    check: Callable[[Settings], str]
    holds: Callable[[Settings], str]
    gate: Callable[[Settings], GateWork] | None = None


def _kafka(settings: Settings, changes: Changes) -> Broker:
    from ingestion.kafka.broker import KafkaBroker
    from ingestion.kafka.wiring import kafka_config
    from ingestion.stream.port import FOLLOWED

    return KafkaBroker(
        kafka_config(settings),
        FOLLOWED,
        changes=changes(),
        capacity_records=settings.kafka_backlog_records,
        max_message_bytes=settings.kafka_max_message_bytes,
        delivery_timeout=timedelta(seconds=settings.kafka_delivery_timeout_seconds),
    )


def _check_kafka(settings: Settings) -> str:
    from ingestion.kafka.admin import KafkaAdmin
    from ingestion.kafka.topics import wanted_topics
    from ingestion.kafka.wiring import kafka_config, topic_policy

    there = KafkaAdmin(kafka_config(settings)).partitions()
    wanted = [topic.name for topic in wanted_topics(topic_policy(settings))]
    if missing := [name for name in wanted if name not in there]:
        raise TopicUnknownError(
            f"{settings.kafka_bootstrap} has no topic {', '.join(missing)}",
            hint="agentflow topics apply",
        )
    return f"{settings.kafka_bootstrap} has all topics, {len(wanted)}"


def _redis(settings: Settings, changes: Changes) -> Broker:
    from ingestion.redis.broker import RedisBroker
    from ingestion.redis.wiring import redis_config
    from ingestion.stream.port import FOLLOWED

    del changes  # no connector writes to Redis
    return RedisBroker(redis_config(settings), FOLLOWED)


def _check_redis(settings: Settings) -> str:
    from ingestion.redis.opening import opened_bus
    from ingestion.redis.wiring import redis_config

    config = redis_config(settings)
    opened_bus(config).close()
    return f"{config.place} keeps what it acknowledges"


def _redis_gate(settings: Settings) -> GateWork:
    from ingestion.gate.port import GateWork
    from ingestion.log.opening import random_id
    from ingestion.redis.gate_bus import RedisGateBus
    from ingestion.redis.opening import opened_bus
    from ingestion.redis.wiring import redis_config

    config = redis_config(settings)
    log = opened_bus(config)
    return GateWork(
        RedisGateBus(config, holder=random_id(), log_id=log.log_id),
        log,
        raw_topic=config.raw_topic,
        keep_events=settings.redis_keep_events,
    )


BUSES: Final[Mapping[str, BusKind]] = MappingProxyType(
    {
        "kafka": BusKind(
            broker=_kafka,
            check=_check_kafka,
            holds=lambda settings: (
                f"events: they are in Kafka, in the topics {settings.kafka_prefix}.*"
            ),
        ),
        "redis": BusKind(
            broker=_redis,
            check=_check_redis,
            holds=lambda settings: (
                f"events that the lake does not have: they are in Redis, {settings.redis_prefix}:*"
            ),
            gate=_redis_gate,
        ),
    }
)
