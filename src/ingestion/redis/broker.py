"""Everything a platform that serves from Redis needs of it, made from one configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from agentflow.errors import UnavailableError
from agentflow.supervision import Supervisor
from ingestion.redis.opening import RedisConfig, opened_bus
from ingestion.redis.sender import RedisSender
from ingestion.redis.stream import RedisStream


class TopicBounds(NamedTuple):
    """Where a topic of one partition begins and ends."""

    start: int
    end: int


class RedisBroker:
    """Makes readers and senders, and looks at the server before there are any.

    Attributes:
        raw_topic: The server's name of the raw topic.
    """

    def __init__(self, config: RedisConfig, topics: Iterable[str]) -> None:
        self._config = config
        self._topics = tuple(topics)
        self._log_id: str | None = None
        self.raw_topic = config.raw_topic

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return "Redis"

    def cluster_id(self) -> str | None:
        """Return the name of the log; None when nobody answers.

        Raises:
            StorageError: The server would lose events that it acknowledged.
        """
        try:
            bus = opened_bus(self._config)
        except UnavailableError:
            return None
        bus.close()
        self._log_id = bus.log_id
        return bus.log_id

    def lake_id(self) -> str | None:
        """Return the name of the lake that the gates write; None when nobody knows."""
        try:
            bus = opened_bus(self._config)
            try:
                return bus.lake_id()
            finally:
                bus.close()
        except UnavailableError:
            return None

    def bounds(self) -> Mapping[str, TopicBounds] | None:
        """Return where each topic begins and ends; None when nobody answers."""
        try:
            bus = opened_bus(self._config)
            try:
                return {
                    topic: TopicBounds(bus.start(topic), bus.end(topic)) for topic in self._topics
                }
            finally:
                bus.close()
        except UnavailableError:
            return None

    def stream(self, lost: Callable[[], None]) -> RedisStream:
        """Return a reader; *lost* is called, in any thread, when the server is gone."""
        return RedisStream(self._config, self._topics, lost=lost, log_id=self._log_id)

    def sender(self, supervisor: Supervisor) -> RedisSender:
        """Return what appends to the raw topic."""
        del supervisor  # it has no thread: what it does belongs to the requests that wait
        return RedisSender(self._config, log_id=self._log_id)
