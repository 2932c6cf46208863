"""From settings to the bus on Redis."""

from __future__ import annotations

from agentflow.settings import Settings
from ingestion.redis.opening import RedisConfig


def redis_config(settings: Settings) -> RedisConfig:
    """Return how the configured server is reached."""
    return RedisConfig(
        settings.redis_url,
        prefix=settings.redis_prefix,
        raw_partitions=settings.redis_partitions,
        capacity_records=settings.redis_backlog_records,
    )
