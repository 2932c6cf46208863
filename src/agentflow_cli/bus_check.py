"""The check of `agentflow doctor` on the broker that events come over, if they come over one."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.errors import AgentFlowError
from agentflow.settings import Settings
from agentflow_cli.checks import Finding


def examine_bus(configured: Settings) -> Iterator[Finding]:
    """Look whether the broker answers and has what is needed; nothing to see when embedded."""
    if configured.bus == "kafka":
        yield _kafka(configured)
    elif configured.bus == "redis":
        yield _redis(configured)


def _redis(configured: Settings) -> Finding:
    from ingestion.redis.opening import opened_bus
    from ingestion.redis.wiring import redis_config

    config = redis_config(configured)
    try:
        opened_bus(config).close()
    except AgentFlowError as error:
        return Finding("redis", "problem", str(error), error.hint or "")
    return Finding("redis", "ok", f"{config.place} keeps what it acknowledges")


def _kafka(configured: Settings) -> Finding:
    from agentflow_cli.service import people
    from ingestion.kafka.admin import KafkaAdmin
    from ingestion.kafka.topics import wanted_topics
    from ingestion.kafka.wiring import kafka_config, topic_policy

    people()  # what the client says of its connections belongs beside the findings, not into them
    try:
        there = KafkaAdmin(kafka_config(configured)).partitions()
        wanted = [topic.name for topic in wanted_topics(topic_policy(configured))]
    except AgentFlowError as error:
        return Finding("kafka", "problem", str(error), error.hint or "")
    missing = [name for name in wanted if name not in there]
    if missing:
        detail = f"{configured.kafka_bootstrap} has no topic {', '.join(missing)}"
        return Finding("kafka", "problem", detail, "agentflow topics apply")
    return Finding("kafka", "ok", f"{configured.kafka_bootstrap} has all topics, {len(wanted)}")
