"""Kafka: one KRaft node, broker and controller in one JVM; encrypted listener on request."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack import certificates, class_data, install, jvm, probe
from stack.home import LOOPBACK
from stack.process import Command
from stack.service import Service

_HEAP_MB = 512
_MAIN = "kafka.Kafka"
_CLUSTER_ID = "AgentFlowStackKafka000"


@dataclass(frozen=True, slots=True)
class Scram:
    """Who may use the encrypted listener."""

    user: str = "agentflow"
    password: str = "agentflow-loopback"  # noqa: S105 - of a broker that only loopback reaches


class Kafka(Service):
    """A broker; `secure=True` adds a SASL_SSL listener (SCRAM-SHA-512) beside the plain one."""

    name = "kafka"
    version = "4.3.1"
    port_names = ("plain", "secure", "controller")

    def __init__(
        self, *, secure: bool = False, heap_mb: int = _HEAP_MB, without_c2: bool = True
    ) -> None:
        """Plan a broker.

        Args:
            secure: Add the encrypted listener.
            heap_mb: The most its heap may grow to.
            without_c2: Skip Java's optimising compiler, C2, which keeps a core busy at first.
        """
        super().__init__()
        self._without_c2 = without_c2
        self.secure = secure
        self.scram = Scram()
        self._heap_mb = heap_mb

    @property
    def bootstrap(self) -> str:
        """`bootstrap.servers` without encryption."""
        return f"{LOOPBACK}:{self.port('plain')}"

    @property
    def secure_bootstrap(self) -> str:
        """`bootstrap.servers` of the SASL_SSL listener."""
        return f"{LOOPBACK}:{self.port('secure')}"

    @property
    def certificate_path(self) -> Path:
        """What clients of the encrypted listener trust: a PEM file (`ssl.ca.location`)."""
        return self.directory / "certificate.pem"

    @property
    def secure_client(self) -> dict[str, str]:
        """What a librdkafka client is configured with to use the encrypted listener."""
        return {
            "bootstrap.servers": self.secure_bootstrap,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": self.scram.user,
            "sasl.password": self.scram.password,
            "ssl.ca.location": str(self.certificate_path),
        }

    @property
    def addresses(self) -> Mapping[str, str]:
        """The plain listener, and the encrypted one when there is one."""
        secure = {"secure_bootstrap": self.secure_bootstrap} if self.secure else {}
        return {"bootstrap": self.bootstrap, **secure}

    def install(self) -> None:
        """Download the jars of the broker and its tools."""
        install.jars("kafka")

    @property
    def archives(self) -> tuple[Path, ...]:
        """That of the broker."""
        return (class_data.archive(_MAIN, install.jars("kafka")),)

    def prepare(self) -> None:
        """Write the configuration and format the log directory, once."""
        if self.secure and not self._keystore.exists():
            certificates.issue(self._keystore, self.certificate_path)
        self._configuration.write_text(jvm.properties(self._settings()))
        if not (self.directory / "data" / "meta.properties").exists():
            self._format()

    def command(self, part: str) -> Command:
        """Run broker and controller."""
        del part
        return Command(self._java(_MAIN, str(self._configuration)))

    def healthy(self) -> bool:
        """Ask for metadata: the broker names itself once it is registered and unfenced."""
        try:
            return _count_brokers(self.port("plain")) == 1
        except (OSError, struct.error):
            return False

    @property
    def _configuration(self) -> Path:
        return self.directory / "server.properties"

    @property
    def _keystore(self) -> Path:
        return self.directory / "keystore.p12"

    def _java(self, main: str, *arguments: str) -> tuple[str, ...]:
        classpath = install.jars("kafka")
        return jvm.command(
            main,
            *arguments,
            classpath=classpath,
            heap_mb=self._heap_mb,
            without_c2=self._without_c2,
        )

    def _format(self) -> None:
        credentials = f"SCRAM-SHA-512=[name={self.scram.user},password={self.scram.password}]"
        arguments = ["format", "-t", _CLUSTER_ID, "-c", str(self._configuration)]
        if self.secure:
            arguments += ["--add-scram", credentials]
        install.run(
            [*self._java("kafka.tools.StorageTool", *arguments)],
            within=60,
            fix=f"Remove {self.directory} and start again.",
        )

    def _settings(self) -> dict[str, object]:
        controller = f"{LOOPBACK}:{self.port('controller')}"
        listeners = {"PLAINTEXT": self.bootstrap}
        if self.secure:
            listeners["SASL_SSL"] = self.secure_bootstrap
        advertised = ",".join(f"{name}://{address}" for name, address in listeners.items())
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{advertised},CONTROLLER://{controller}",
            "advertised.listeners": advertised,
            "listener.security.protocol.map": (
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL"
            ),
            "log.dirs": self.directory / "data",
            "group.initial.rebalance.delay.ms": 0,
            "auto.create.topics.enable": False,
            "num.partitions": 1,
            # After kill -9 the old session must not keep the node fenced for the default 9 s.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            # Each partition of an internal topic is files, memory and start time.
            "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
            **_single_node(),
        }
        return settings | (self._security() if self.secure else {})

    def _security(self) -> dict[str, object]:
        return {
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PKCS12",
            "ssl.keystore.location": self._keystore,
            "ssl.keystore.password": certificates.PASSWORD,
        }


def _single_node() -> dict[str, object]:
    """Return what one node needs so that internal topics do not wait for a second one."""
    return {
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
    }


def _count_brokers(port: int) -> int:
    """Send one Metadata request (key 3, version 4, about no topic) and count the brokers.

    Written out because the alternative is a client library that the stack would depend on.
    """
    body = struct.pack(">hhih", 3, 4, 1, -1) + struct.pack(">i?", 0, False)  # noqa: FBT003
    with probe.connect(port) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        with connection.makefile("rb") as answer:
            (size,) = struct.unpack(">i", answer.read(4))
            payload = answer.read(size)
    return int(struct.unpack(">iii", payload[:12])[2])  # correlation id, throttle time, brokers
