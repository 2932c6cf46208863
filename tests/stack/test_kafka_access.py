"""Who we are and whom we trust, proved against a listener with TLS and SCRAM; and bad addresses."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agentflow.errors import AgentFlowError, ParameterError, UnavailableError
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.positions import GroupPositions
from ingestion.kafka.producer import KafkaProducer
from ingestion.kafka.topic_plan import Create
from ingestion.kafka.topics import RETENTION, Topic
from stack.services import Kafka
from tests.ingestion.test_bus import new
from tests.stack.kafka_topics import all_records, commit_position

pytestmark = pytest.mark.xdist_group("stack")


@pytest.fixture
def secure(kafka: Kafka) -> KafkaConfig:
    return KafkaConfig(
        kafka.secure_bootstrap,
        prefix=f"secure-{secrets.token_hex(4)}",
        security_protocol="sasl_ssl",
        sasl_user=kafka.scram.user,
        sasl_password=kafka.scram.password,
        ca_file=kafka.certificate_path,
    )


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that signed nothing here."""
    directory = tmp_path_factory.mktemp("stranger")
    certificate = directory / "stranger.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=stranger", "-days", "2"),
            *("-keyout", str(directory / "key.pem"), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return certificate


def errors_of(config: KafkaConfig) -> list[AgentFlowError]:
    """Return how each of our clients refuses to work with that configuration."""
    config = replace(config, timeout=timedelta(seconds=2))
    found: list[AgentFlowError] = []
    with pytest.raises(AgentFlowError) as refused:
        KafkaAdmin(config).cluster_id()
    found.append(refused.value)
    positions = GroupPositions(config, "readers")
    with pytest.raises(AgentFlowError) as refused:
        positions.committed([("raw", 0)])
    found.append(refused.value)
    positions.close()
    producer = KafkaProducer(config, delivery_timeout=timedelta(seconds=2))
    with pytest.raises(AgentFlowError) as refused:
        asyncio.run(producer.send("raw", [new()]))
    found.append(refused.value)
    with pytest.raises(AgentFlowError) as refused:
        producer.check()
    found.append(refused.value)
    producer.close()
    return found


def test_records_travel_over_tls_with_scram(secure: KafkaConfig) -> None:
    """Every kind of client of ours: administrator, producer, positions of a group."""
    kept = {RETENTION: "-1"}
    KafkaAdmin(secure).apply([Create(Topic(secure.topic_name("raw"), 1, 1, config=kept))])
    producer = KafkaProducer(secure)
    producer.check()

    places = asyncio.run(producer.send("raw", [new(b"private")]))

    producer.close()
    commit_position(secure, "lake", "raw", 1)
    positions = GroupPositions(secure, "lake")
    place = (secure.topic_name("raw"), 0)
    assert positions.committed([place]) == {place: 1}
    positions.close()
    assert [record.value for record in all_records(secure, "raw")] == [b"private"]
    assert list(places) == [(0, 0)]


def test_a_wrong_password_is_told_as_that(secure: KafkaConfig) -> None:
    """And not as a broker that cannot be reached; the password is shown nowhere."""
    wrong = replace(secure, sasl_password="hidden-and-wrong")  # noqa: S106 - it is wrong

    errors = errors_of(wrong)

    for error in errors:
        assert isinstance(error, UnavailableError)
        assert "refused the user or the password" in str(error)
        assert "AGENTFLOW_KAFKA_SASL" in str(error.hint)
        assert "hidden" not in f"{error}{error.hint}{wrong!r}"


def test_a_wrong_authority_is_told_as_that(secure: KafkaConfig, stranger: Path) -> None:
    """Nothing is sent to a broker that cannot prove who it is."""
    errors = errors_of(replace(secure, ca_file=stranger))

    for error in errors:
        assert isinstance(error, UnavailableError)
        assert "did not prove who it is" in str(error)
        assert "AGENTFLOW_KAFKA_CA_FILE" in str(error.hint)


def test_a_broker_that_is_not_there_is_told_with_its_address() -> None:
    """The first thing an operator checks is the address."""
    config = KafkaConfig("127.0.0.1:9")

    for error in errors_of(config):
        assert isinstance(error, UnavailableError)
        assert 'kafka at "127.0.0.1:9" cannot be reached' in str(error)
        assert "AGENTFLOW_KAFKA_BOOTSTRAP" in str(error.hint)


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    """Before anything is connected."""
    with pytest.raises(ParameterError, match="needs a user"):
        KafkaConfig("127.0.0.1:9", security_protocol="sasl_ssl")
    with pytest.raises(ParameterError, match="does not exist"):
        KafkaConfig("127.0.0.1:9", ca_file=tmp_path / "none.pem")
