"""From settings to the parts on Kafka: nothing else of this package reads configuration."""

from __future__ import annotations

from datetime import timedelta

from agentflow.settings import Settings
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.topics import TopicPolicy


def kafka_config(settings: Settings) -> KafkaConfig:
    """Return how the configured cluster is reached.

    Raises:
        ParameterError: Settings contradict each other, or name a file that is not there.
    """
    return KafkaConfig(
        bootstrap=settings.kafka_bootstrap,
        prefix=settings.kafka_prefix,
        security_protocol=settings.kafka_security_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        sasl_user=settings.kafka_sasl_user,
        sasl_password=settings.kafka_sasl_password.get_secret_value(),
        ca_file=settings.kafka_ca_file,
        timeout=timedelta(seconds=settings.kafka_timeout_seconds),
    )


def topic_policy(settings: Settings) -> TopicPolicy:
    """Return what the deployment decides about topics."""
    return TopicPolicy(
        prefix=settings.kafka_prefix,
        raw_partitions=settings.kafka_partitions,
        replication=settings.kafka_replication,
        min_insync=settings.kafka_min_insync,
        retention=timedelta(hours=settings.kafka_retention_hours),
        max_message_bytes=settings.kafka_max_message_bytes,
    )
