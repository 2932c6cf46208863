"""Kafka topics as Flink tables: the SQL of sources and sinks, from one configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from agentflow.expressions.sql import quote_text
from ingestion.kafka.config import MAX_MESSAGE_BYTES, KafkaConfig

# Room beside the value for key, headers and the batch around it.
_REQUEST_BYTES: Final = MAX_MESSAGE_BYTES + 64 * 1024
# A fetch is answered at the first record; this is only how often an idle one is asked again.
_LONGEST_WAIT_MS: Final = 250
# Without it every answer is a request of its own, to a broker that may share our cores.
_LINGER_MS: Final = 1
_LOGIN_MODULES: Final = {
    "plain": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "scram-sha-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "scram-sha-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
_SOURCE_COLUMNS: Final = """\
  `record_key` BYTES,
  `record_value` BYTES,
  `topic` STRING NOT NULL METADATA VIRTUAL,
  `partition` INT NOT NULL METADATA VIRTUAL,
  `offset` BIGINT NOT NULL METADATA VIRTUAL,
  `timestamp` TIMESTAMP_LTZ(3) NOT NULL METADATA VIRTUAL,
  `headers` MAP<STRING NOT NULL, BYTES> NOT NULL METADATA VIRTUAL,
  `arrival` AS PROCTIME()"""
_SINK_COLUMNS: Final = """\
  `record_key` BYTES,
  `record_value` BYTES,
  `headers` MAP<STRING NOT NULL, BYTES> METADATA,
  `timestamp` TIMESTAMP_LTZ(3) METADATA"""


def source_table(
    name: str,
    topics: Sequence[str],
    *,
    kafka: KafkaConfig,
    group: str,
    keyed: bool,
    also: Sequence[str] = (),
) -> str:
    """Return the statement for the records of some topics, from their beginning.

    A topic that does not exist yet is read once it does: a table without changes has none.
    *also* are further columns, and the watermark.
    """
    columns = _SOURCE_COLUMNS if keyed else _SOURCE_COLUMNS.partition("\n")[2]
    columns = ",\n".join((columns, *(f"  {column}" for column in also)))
    options = {
        "topic-pattern": "|".join(map(re.escape, topics)),
        "properties.group.id": group,
        "properties.fetch.max.wait.ms": str(_LONGEST_WAIT_MS),
        "properties.isolation.level": "read_committed",
        "scan.startup.mode": "earliest-offset",
        "scan.topic-partition-discovery.interval": "10 s",
        **_value_format(keyed=keyed),
    }
    return _table(name, columns, kafka=kafka, options=options)


def sink_table(name: str, topic: str, *, kafka: KafkaConfig) -> str:
    """Return the statement for a topic that is written at least once, almost without waiting."""
    options = {
        "topic": topic,
        "properties.linger.ms": str(_LINGER_MS),
        "properties.max.request.size": str(_REQUEST_BYTES),
        "sink.delivery-guarantee": "at-least-once",
        **_value_format(keyed=True),
    }
    return _table(name, _SINK_COLUMNS, kafka=kafka, options=options)


def _value_format(*, keyed: bool) -> dict[str, str]:
    if not keyed:
        return {"value.format": "raw"}
    return {
        "key.format": "raw",
        "key.fields": "record_key",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
    }


def _table(name: str, columns: str, *, kafka: KafkaConfig, options: Mapping[str, str]) -> str:
    named = {
        "connector": "kafka",
        "properties.bootstrap.servers": kafka.bootstrap,
        **security(kafka),
        **options,
    }
    written = ",\n".join(
        f"  {quote_text(key)} = {quote_text(value)}" for key, value in named.items()
    )
    return f"CREATE TEMPORARY TABLE `{name}` (\n{columns}\n) WITH (\n{written}\n)"


def security(kafka: KafkaConfig) -> dict[str, str]:
    """Return how Java clients prove themselves to brokers, and the brokers to them."""
    if kafka.security_protocol == "plaintext":
        return {}
    found = {"properties.security.protocol": kafka.security_protocol.upper()}
    if kafka.security_protocol.startswith("sasl"):
        found["properties.sasl.mechanism"] = kafka.sasl_mechanism.upper()
        found["properties.sasl.jaas.config"] = (
            f"{_LOGIN_MODULES[kafka.sasl_mechanism]} required "
            f"username={_java_quoted(kafka.sasl_user)} "
            f"password={_java_quoted(kafka.sasl_password)};"
        )
    if kafka.security_protocol.endswith("ssl") and kafka.ca_file is not None:
        found["properties.ssl.truststore.type"] = "PEM"
        found["properties.ssl.truststore.location"] = str(kafka.ca_file.absolute())
    return found


def _java_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
