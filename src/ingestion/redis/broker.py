"""Everything a platform that serves from Redis needs of it, made from one configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import TypeVar

from agentflow.errors import UnavailableError
from agentflow.supervision import Supervisor
from ingestion.redis.bus import RedisBus
from ingestion.redis.opening import RedisConfig, opened_bus
from ingestion.redis.sender import RedisSender
from ingestion.redis.stream import RedisStream
from ingestion.stream.port import TopicBounds

_T = TypeVar("_T")


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
        """Return the name of the log; None when the server does not answer.

        Raises:
            StorageError: The server would lose events that it acknowledged.
        """
        self._log_id = self._asked(lambda bus: bus.log_id)
        return self._log_id

    def lake_id(self) -> str | None:
        """Return the name of the lake that the gates write; None when it is not known."""
        return self._asked(lambda bus: bus.lake_id())

    def bounds(self) -> Mapping[str, TopicBounds] | None:
        """Return where each topic begins and ends; None when the server does not answer."""
        return self._asked(
            lambda bus: {each: TopicBounds(bus.start(each), bus.end(each)) for each in self._topics}
        )

    def _asked(self, question: Callable[[RedisBus], _T]) -> _T | None:
        try:
            with closing(opened_bus(self._config)) as bus:
                return question(bus)
        except UnavailableError:
            return None

    def stream(self, lost: Callable[[], None]) -> RedisStream:
        """Return a reader; *lost* is called, in any thread, when the server is gone."""
        return RedisStream(self._config, self._topics, lost=lost, log_id=self._log_id)

    def sender(self, supervisor: Supervisor) -> RedisSender:
        """Return what appends to the raw topic."""
        del supervisor  # it has no thread: what it does belongs to the requests that wait
        return RedisSender(self._config, log_id=self._log_id)
