"""The bus on a Redis server, under the one conformance suite."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import count

import pytest
from redis import Redis as Client

from agentflow.errors import (
    ParameterError,
    StorageError,
    StorageFullError,
    UnavailableError,
)
from ingestion.log.port import RecordOffset
from ingestion.redis.bus import RedisBus
from ingestion.redis.opening import open_redis_bus
from stack.services import Redis
from tests.ingestion.test_bus import BusSuite, MakeTopic, Reopen, new, numbered

pytestmark = pytest.mark.xdist_group("stack")

_names = (f"topic_{number}" for number in count())


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis().running(tmp_path_factory.mktemp("redis")) as service:
        yield service


def setting(redis: Redis, name: str, value: str) -> None:
    """Change the server's configuration, as its operator would."""
    with Client.from_url(redis.url) as client:
        client.config_set(name, value)


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


@pytest.mark.parametrize(
    ("name", "value"),
    [("appendfsync", "everysec"), ("appendonly", "no"), ("maxmemory-policy", "volatile-ttl")],
)
def test_a_redis_that_forgets_is_refused(redis: Redis, name: str, value: str) -> None:
    """It acknowledges events that a power cut or newer events take away."""
    with Client.from_url(redis.url) as client:
        before = client.config_get(name)[name]
    setting(redis, name, value)

    with pytest.raises(StorageError, match=f"{name} {value}") as refused:
        open_redis_bus(redis.url)

    assert f"CONFIG SET {name}" in str(refused.value.hint)
    setting(redis, name, before)


def test_a_full_redis_stores_nothing_of_a_batch(redis: Redis) -> None:
    """All or none: what was refused can be sent again without repeating half of it."""
    bus = open_redis_bus(redis.url, prefix="full")
    bus.append("raw", [new()])
    setting(redis, "maxmemory", "1mb")

    with pytest.raises(StorageFullError, match="no memory"):
        bus.append("raw", [new(), new()])

    setting(redis, "maxmemory", "128mb")
    assert bus.end("raw") == 1
    assert list(bus.append("raw", [new()])) == [RecordOffset(0, 1)]
    bus.close()


def test_offsets_go_on_after_old_records_were_trimmed(redis: Redis) -> None:
    """Retention is XTRIM; an offset that was given is never given again."""
    bus = open_redis_bus(redis.url, prefix="trimmed")
    bus.append("raw", numbered(range(9)))
    with Client.from_url(redis.url) as client:
        client.xtrim("trimmed:raw:0", maxlen=0)

    assert list(bus.read("raw", start=0, limit=9)) == []
    assert bus.end("raw") == 9
    assert list(bus.append("raw", [new(b"next")])) == [RecordOffset(0, 9)]
    assert [record.offset for record in bus.read("raw", start=0, limit=9)] == [9]
    bus.close()


def test_a_redis_that_is_not_there_is_unavailable() -> None:
    """Trying again can help; the message names the server and no password."""
    with pytest.raises(UnavailableError, match="cannot be reached") as refused:
        open_redis_bus("redis://somebody:hidden@127.0.0.1:9/0")

    assert "AGENTFLOW_REDIS_URL" in str(refused.value.hint)
    assert "hidden" not in f"{refused.value}{refused.value.hint}"


def test_a_malformed_redis_address_is_the_callers_fault() -> None:
    """It is told before anything is connected."""
    with pytest.raises(ParameterError, match="malformed"):
        open_redis_bus("http://127.0.0.1")
