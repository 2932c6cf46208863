"""How a Kafka cluster is reached: the one value every client of it is made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from agentflow.errors import ParameterError
from ingestion.log.topic_names import checked_topic

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

SecurityProtocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
SaslMechanism = Literal["plain", "scram-sha-256", "scram-sha-512"]
PREFIX: Final = "agentflow"
MAX_MESSAGE_BYTES: Final = 8 << 20
"""Largest record: a dead letter may quote 1 MiB of an event in which every byte is escaped."""

_QUIET: Final = 2
"""librdkafka writes to stderr what it finds less than critical; `Faults` hears of it anyway."""


@dataclass(frozen=True, slots=True)
class KafkaConfig:
    """Where the brokers are, who we are there, and what our topics are called.

    Attributes:
        bootstrap: `host:port` of some brokers, separated by commas.
        prefix: Topics are `<prefix>.raw` and so on: several platforms can share a cluster.
        ca_file: Certificates (PEM) that sign the brokers'; None means the machine's own list.
        timeout: Longest wait for an answer of the cluster, for anything but a delivery.
    """

    bootstrap: str
    prefix: str = PREFIX
    security_protocol: SecurityProtocol = "plaintext"
    sasl_mechanism: SaslMechanism = "scram-sha-512"
    sasl_user: str = ""
    sasl_password: str = field(default="", repr=False)
    ca_file: Path | None = None
    timeout: timedelta = timedelta(seconds=10)

    def __post_init__(self) -> None:
        if self.security_protocol.startswith("sasl") and not self.sasl_user:
            raise ParameterError(
                f'security protocol "{self.security_protocol}" needs a user',
                hint="Set AGENTFLOW_KAFKA_SASL_USER and AGENTFLOW_KAFKA_SASL_PASSWORD.",
            )
        if self.ca_file is not None and not self.ca_file.is_file():
            raise ParameterError(
                f'certificate file "{self.ca_file}" does not exist',
                hint="AGENTFLOW_KAFKA_CA_FILE names a PEM file with the brokers' authority.",
            )

    @property
    def timeout_seconds(self) -> float:
        """The timeout as drivers want it."""
        return self.timeout.total_seconds()

    def topic_name(self, topic: str) -> str:
        """Return what *topic* is called on the broker.

        Raises:
            ParameterError: The topic's name is not valid.
        """
        return f"{self.prefix}.{checked_topic(topic)}"

    def client(self, heard: Callable[[KafkaError], None], **properties: object) -> dict[str, Any]:
        """Return the configuration of a client; `linger_ms=0` is written `linger.ms`.

        Args:
            heard: Is told of trouble with connections.
            properties: What this kind of client needs besides.
        """
        named = {name.replace("_", "."): value for name, value in properties.items()}
        return {
            "bootstrap.servers": self.bootstrap,
            "client.id": "agentflow",
            "log_level": _QUIET,
            "socket.nagle.disable": True,
            "socket.keepalive.enable": True,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1_000,
            "error_cb": heard,
            **self._security(),
            **named,
        }

    def _security(self) -> dict[str, Any]:
        found: dict[str, Any] = {"security.protocol": self.security_protocol}
        if self.security_protocol.startswith("sasl"):
            found["sasl.mechanism"] = self.sasl_mechanism.upper()
            found["sasl.username"] = self.sasl_user
            found["sasl.password"] = self.sasl_password
        if self.security_protocol.endswith("ssl") and self.ca_file is not None:
            found["ssl.ca.location"] = str(self.ca_file)
        return found
