"""A broker that really runs: it answers, survives `kill -9`, and leaves nothing behind."""

from __future__ import annotations

import secrets
import socket
import ssl
from pathlib import Path

import pytest

from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.bus import KafkaBus
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.topic_plan import Create
from ingestion.kafka.topics import Topic
from stack.services import Kafka

pytestmark = pytest.mark.xdist_group("stack")


def test_kafka_survives_a_kill(kafka: Kafka) -> None:
    """A client that knows the old address finds the same cluster at it."""
    before, pid = kafka.addresses, kafka.pid

    kafka.kill()
    kafka.restart()

    assert kafka.healthy()
    assert kafka.addresses == before
    assert kafka.pid != pid


def test_encrypted_listener_proves_who_it_is(tmp_path: Path) -> None:
    """The certificate handed to clients is the one that the listener shows."""
    with Kafka(secure=True).running(tmp_path) as kafka:
        trusting = ssl.create_default_context(cafile=kafka.certificate_path)
        port = int(kafka.secure_bootstrap.rpartition(":")[2])

        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
            trusting.wrap_socket(connection, server_hostname="127.0.0.1") as encrypted,
        ):
            assert encrypted.version() == "TLSv1.3"

        pid = kafka.pid
    assert not Path(f"/proc/{pid}").exists()


def test_a_broker_that_still_loads_its_positions_is_waited_for(kafka: Kafka) -> None:
    """It says so to who asks first after a start; nobody may take that for a no, or for zero."""
    config = KafkaConfig(kafka.bootstrap, prefix=f"loading-{secrets.token_hex(4)}")
    KafkaAdmin(config).apply([Create(Topic(config.topic_name("raw"), 1, 1, config={}))])
    with KafkaBus(config) as bus:
        for number in range(1, 50):
            bus.store_position(f"reader-{number}", "raw", number)
        kafka.kill()
        kafka.restart()

        assert bus.position("reader-49", "raw") == 49
        bus.store_position("reader-1", "raw", 2)
        assert bus.position("reader-1", "raw") == 2
