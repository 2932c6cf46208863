"""A broker that really runs: it answers, and survives `kill -9`."""

from __future__ import annotations

import secrets
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from threading import Thread

import pytest

from agentflow.errors import UnavailableError
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.positions import GroupPositions
from ingestion.kafka.topic_plan import Create
from ingestion.kafka.topics import Topic
from stack.probe import wait_until
from stack.services import Kafka
from tests.stack.kafka_topics import commit_position

Ask = Callable[[Iterable[tuple[str, int]]], Mapping[tuple[str, int], int]]

pytestmark = pytest.mark.xdist_group("stack")


def test_kafka_survives_a_kill(kafka: Kafka) -> None:
    """A client that knows the old address finds the same cluster at it."""
    before, pid = kafka.addresses, kafka.pid

    kafka.kill()
    kafka.restart()

    assert kafka.healthy()
    assert kafka.addresses == before
    assert kafka.pid != pid


def test_encrypted_listener_proves_who_it_is(kafka: Kafka) -> None:
    """The certificate handed to clients is the one that the listener shows."""
    trusting = ssl.create_default_context(cafile=kafka.certificate_path)
    port = int(kafka.secure_bootstrap.rpartition(":")[2])

    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
        trusting.wrap_socket(connection, server_hostname="127.0.0.1") as encrypted,
    ):
        assert encrypted.version() == "TLSv1.3"


def test_a_broker_that_still_loads_its_positions_is_waited_for(kafka: Kafka) -> None:
    """It says so to who asks first after a start; nobody may take that for a no, or for zero."""
    config = KafkaConfig(kafka.bootstrap, prefix=f"loading-{secrets.token_hex(4)}")
    KafkaAdmin(config).apply([Create(Topic(config.topic_name("raw"), 1, 1, config={}))])
    groups = [f"{config.prefix}.reader-{number}" for number in range(1, 10)]
    for number, group in enumerate(groups, 1):
        commit_position(config, group, "raw", number)
    kafka.kill()
    kafka.restart()

    place = (config.topic_name("raw"), 0)
    for number, group in enumerate(groups, 1):
        positions = GroupPositions(config, group)
        assert positions.committed([place]) == {place: number}
        positions.close()


def test_questions_about_positions_outlive_the_broker(kafka: Kafka) -> None:
    """One that timed out while nobody was there has no effect when somebody is again.

    With the driver's administrative calls this process would end here, by a signal.
    """
    prefix = f"asking-{secrets.token_hex(4)}"
    config = KafkaConfig(kafka.bootstrap, prefix=prefix, timeout=timedelta(seconds=1))
    place = (config.topic_name("raw"), 0)
    KafkaAdmin(config).apply([Create(Topic(place[0], 1, 1, config={}))])
    commit_position(config, f"{prefix}.job", "raw", 7)
    positions = GroupPositions(config, f"{prefix}.job")
    for _ in range(2):
        kafka.kill()
        restarting = Thread(target=kafka.restart)
        restarting.start()
        while restarting.is_alive():
            _or_nothing(positions.committed, place)

        assert wait_until(lambda: _or_nothing(positions.committed, place) == {place: 7}, within=60)
        assert wait_until(lambda: _or_nothing(positions.ends, place) == {place: 0}, within=60)
    positions.close()


def _or_nothing(ask: Ask, place: tuple[str, int]) -> Mapping[tuple[str, int], int] | None:
    """Ask; None while a connection is not made again, which may take longer than one question."""
    try:
        return ask([place])
    except UnavailableError:
        return None
