"""What a cluster says while it moves its work about passes by itself: it is told as that."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from agentflow.errors import StorageError, UnavailableError
from ingestion.kafka.faults import is_passing, refused

PASSING = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.NOT_ENOUGH_REPLICAS,
)


@pytest.mark.parametrize("code", PASSING)
def test_a_cluster_that_is_not_ready_yet_is_unavailable(code: int) -> None:
    """The driver calls these final; a broker that just started says them to everybody."""
    assert is_passing(KafkaError(code))
    assert isinstance(refused(KafkaError(code)), UnavailableError)


def test_a_no_stays_a_no() -> None:
    """Asking again would not help."""
    no = KafkaError(KafkaError.POLICY_VIOLATION)

    assert not is_passing(no)
    assert isinstance(refused(no), StorageError)
