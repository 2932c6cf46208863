"""The thread of the producer, when what it does for a request fails in a way nobody foresaw."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from confluent_kafka import KafkaError

from agentflow.errors import AgentFlowError, UnavailableError
from agentflow.supervision import Supervisor
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.faults import Faults
from ingestion.kafka.producer import Backlog, KafkaProducer
from ingestion.log.port import RAW, NewRecord

RECORD = NewRecord(b"key", b"value", {}, 0)
NOBODY_THERE = KafkaConfig("127.0.0.1:1")


class Broken(Faults):
    """Translates nothing."""

    def error(self, error: KafkaError) -> AgentFlowError:
        raise LookupError(error.name())


def test_a_report_that_cannot_be_taken_in_ends_the_wait_of_its_request() -> None:
    """The thread was started again, and the request waited for its place without end."""
    supervisor = Supervisor()
    producer = KafkaProducer(
        NOBODY_THERE, delivery_timeout=timedelta(milliseconds=50), supervisor=supervisor
    )
    producer._faults = Broken(NOBODY_THERE.bootstrap)  # noqa: SLF001

    async def send() -> None:
        async with asyncio.timeout(20):
            await producer.send(RAW, [RECORD])

    for _ in range(2):
        with pytest.raises(UnavailableError, match="is not known: LookupError: _MSG_TIMED_OUT"):
            asyncio.run(send())
    producer.close()

    (status,) = supervisor.statuses()
    assert (status.name, status.failures) == ("kafka-producer", 2)
    assert producer.backlog == Backlog(0, 0)
