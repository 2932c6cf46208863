"""The buses that need a server, under the one conformance suite."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import count
from typing import ClassVar

import pytest

from agentflow.errors import RecordTooLargeError, TopicUnknownError
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.bus import KafkaBus
from ingestion.kafka.config import MAX_MESSAGE_BYTES, KafkaConfig
from ingestion.kafka.topic_plan import Create
from ingestion.kafka.topics import MAX_MESSAGE, Topic
from ingestion.redis.bus import RedisBus
from ingestion.redis.opening import open_redis_bus
from stack.services import Kafka, Redis
from tests.ingestion.test_bus import BusSuite, MakeTopic, Reopen

pytestmark = pytest.mark.xdist_group("stack")
_names = (f"topic_{number}" for number in count())


@pytest.fixture(scope="module")
def config(kafka: Kafka) -> KafkaConfig:
    return KafkaConfig(kafka.bootstrap, prefix=f"bus-{secrets.token_hex(4)}")


@pytest.fixture(scope="module")
def kafka_bus(config: KafkaConfig) -> Iterator[KafkaBus]:
    with KafkaBus(config) as bus:
        yield bus


class TestKafka(BusSuite):
    """A broker. Topics are made by an administrator, sizes are limited, times are rounded."""

    most_partitions = 3
    differences: ClassVar = {
        "test_a_topic_nobody_made_is_empty": TopicUnknownError,
        "test_any_size_is_a_record": RecordTooLargeError,
        "test_times_have_microseconds": AssertionError,
    }

    @pytest.fixture
    def bus(self, kafka_bus: KafkaBus) -> KafkaBus:
        return kafka_bus

    @pytest.fixture
    def make_topic(self, config: KafkaConfig) -> MakeTopic:
        admin = KafkaAdmin(config)

        def make(partitions: int = 1) -> str:
            topic = next(_names)
            limits = {MAX_MESSAGE: str(MAX_MESSAGE_BYTES)}
            wanted = Topic(config.topic_name(topic), partitions, 1, config=limits)
            admin.apply([Create(wanted)])
            return topic

        return make

    @pytest.fixture
    def reopen(self, config: KafkaConfig) -> Iterator[Reopen]:
        opened: list[KafkaBus] = []

        def again() -> KafkaBus:
            opened.append(KafkaBus(config))
            return opened[-1]

        yield again
        for bus in opened:
            bus.close()


class TestRedis(BusSuite):
    """One server that writes before it answers."""

    most_partitions = 3

    @pytest.fixture
    def opening(self, redis: Redis, request: pytest.FixtureRequest) -> Iterator[Reopen]:
        prefix = f"bus-{secrets.token_hex(4)}"
        spread = dict.fromkeys((f"spread_{number}" for number in range(9)), self.most_partitions)
        opened: list[RedisBus] = []

        def again() -> RedisBus:
            opened.append(open_redis_bus(redis.url, prefix=prefix, partitions=spread))
            return opened[-1]

        yield again
        for bus in opened:
            bus.close()

    @pytest.fixture
    def bus(self, opening: Reopen) -> RedisBus:
        bus = opening()
        assert isinstance(bus, RedisBus)
        return bus

    @pytest.fixture
    def reopen(self, opening: Reopen) -> Reopen:
        return opening

    @pytest.fixture
    def make_topic(self) -> MakeTopic:
        numbers = count()
        return lambda partitions=1: next(_names) if partitions == 1 else f"spread_{next(numbers)}"
