"""From settings to the parts on Kafka: nothing else of this package reads configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from agentflow.settings import Settings
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.topics import TopicPolicy

if TYPE_CHECKING:  # Flink's environment reads settings too, and has no confluent-kafka
    from ingestion.kafka.bus import KafkaBus
    from ingestion.kafka.producer import KafkaProducer


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


def kafka_bus(settings: Settings) -> KafkaBus:
    """Return the bus on the configured cluster; it connects when it is used."""
    from ingestion.kafka.bus import KafkaBus

    return KafkaBus(
        kafka_config(settings),
        max_message_bytes=settings.kafka_max_message_bytes,
        delivery_timeout=timedelta(seconds=settings.kafka_delivery_timeout_seconds),
    )


def kafka_producer(settings: Settings) -> KafkaProducer:
    """Return the producer of the intake; `check` tells whether the cluster answers."""
    from ingestion.kafka.producer import KafkaProducer

    return KafkaProducer(
        kafka_config(settings),
        capacity_records=settings.kafka_backlog_records,
        max_message_bytes=settings.kafka_max_message_bytes,
        delivery_timeout=timedelta(seconds=settings.kafka_delivery_timeout_seconds),
    )
