"""Kafka and Redis under the suites of a broker and of the gate's bus."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from redis import Redis as RedisClient

from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.broker import KafkaBroker
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.topic_plan import Create
from ingestion.kafka.topics import TopicPolicy, wanted_topics
from ingestion.log.port import ONLY, RAW, NewRecord
from ingestion.redis.broker import RedisBroker
from ingestion.redis.bus import RedisBus
from ingestion.redis.entries import fields_of
from ingestion.redis.gate_bus import RedisGateBus
from ingestion.redis.names import NEXT, id_at, stream_key
from ingestion.redis.opening import RedisConfig, opened_bus
from ingestion.stream.port import FOLLOWED
from stack.services import Kafka, Redis
from tests.ingestion.test_broker import PARTITIONS, Brokered, BrokerSuite
from tests.ingestion.test_gate_bus import GateBusSuite, Gates

pytestmark = pytest.mark.xdist_group("stack")


class TestKafka(BrokerSuite):
    """One broker, topics of its own for each test."""

    @pytest.fixture
    def brokered(self, kafka: Kafka) -> Brokered:
        config = KafkaConfig(kafka.bootstrap, prefix=f"suite-{secrets.token_hex(4)}")
        policy = TopicPolicy(prefix=config.prefix, raw_partitions=PARTITIONS)
        KafkaAdmin(config).apply([Create(topic) for topic in wanted_topics(policy)])
        producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 0})

        def append(topic: str, records: Sequence[NewRecord]) -> None:
            for new in records:
                headers = [(name, value.encode()) for name, value in new.headers.items()]
                milliseconds = new.timestamp_us // 1_000
                producer.produce(
                    config.topic_name(topic), new.value, new.key, 0,
                    timestamp=milliseconds, headers=headers,
                )  # fmt: skip
            assert producer.flush(30) == 0

        def trim(topic: str, before: int) -> None:
            place = TopicPartition(config.topic_name(topic), 0, before)
            admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
            for done in admin.delete_records([place]).values():
                done.result(30)

        def again() -> KafkaBroker:
            return KafkaBroker(config, FOLLOWED)

        return Brokered(again(), again, append, trim)


@pytest.fixture
def config(redis: Redis) -> RedisConfig:
    """Name keys of its own for each test."""
    prefix = f"suite-{secrets.token_hex(4)}"
    return RedisConfig(redis.url, prefix=prefix, raw_partitions=PARTITIONS)


@pytest.fixture
def bus(config: RedisConfig) -> Iterator[RedisBus]:
    with closing(opened_bus(config)) as found:
        yield found


class TestRedis(BrokerSuite):
    """One server that writes before it answers."""

    @pytest.fixture
    def brokered(self, config: RedisConfig, bus: RedisBus) -> Brokered:
        def trim(topic: str, before: int) -> None:
            with RedisClient.from_url(config.url) as client:
                key = stream_key(config.prefix, topic, ONLY)
                client.xtrim(key, minid=id_at(before), approximate=False)

        def again() -> RedisBroker:
            return RedisBroker(config, FOLLOWED)

        return Brokered(again(), again, bus.append, trim)


class TestGatesOnRedis(GateBusSuite):
    """Several gates, each with connections of its own."""

    @pytest.fixture
    def gates(self, config: RedisConfig, bus: RedisBus) -> Iterator[Gates]:
        with ExitStack() as opened:

            def gate(name: str) -> RedisGateBus:
                made = RedisGateBus(config, holder=name, log_id=bus.log_id)
                return opened.enter_context(closing(made))

            def send(partition: int, records: Sequence[NewRecord]) -> None:
                with RedisClient.from_url(config.url) as client:
                    for each in records:
                        key = stream_key(config.prefix, RAW, partition)
                        client.xadd(key, fields_of(each), id=NEXT)  # type: ignore[arg-type]

            def written(topic: str) -> list[bytes]:
                return [record.value for record in bus.read(topic, start=0, limit=100)]

            yield Gates(gate, send, written)
