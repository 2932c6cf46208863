"""Real services, one of each for the whole session, started when the first test asks.

A test that uses one carries `pytest.mark.xdist_group("stack")`, so that a single worker of xdist
runs them all against one set of services, and names its topics, tables and buckets for itself.
Two sets of services at once would be more than two cores can feed.
"""

from __future__ import annotations

from tests.stack.fixtures import (
    connect,
    flink,
    iceberg_rest,
    kafka,
    mariadb,
    nursery,
    platform_wheel,
    postgres,
    redis,
    s3,
    stack_directory,
)

__all__ = [
    "connect",
    "flink",
    "iceberg_rest",
    "kafka",
    "mariadb",
    "nursery",
    "platform_wheel",
    "postgres",
    "redis",
    "s3",
    "stack_directory",
]
