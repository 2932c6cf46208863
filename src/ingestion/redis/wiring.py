"""From settings to the bus on Redis."""

from __future__ import annotations

from agentflow.settings import Settings
from ingestion.log.port import RAW
from ingestion.redis.bus import RedisBus
from ingestion.redis.opening import open_redis_bus


def redis_bus(settings: Settings) -> RedisBus:
    """Open the configured bus.

    Raises:
        UnavailableError: The server does not answer.
        StorageError: The server would lose events that it acknowledged.
    """
    return open_redis_bus(
        settings.redis_url,
        prefix=settings.kafka_prefix,
        partitions={RAW: settings.kafka_partitions},
    )
