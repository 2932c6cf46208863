"""What a producer makes of the driver's report about one record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from confluent_kafka import KafkaError, Message

from agentflow.errors import AgentFlowError, RecordTooLargeError, UnavailableError
from ingestion.kafka.faults import Faults
from ingestion.kafka.producer import report_of
from ingestion.log.port import RecordOffset

FAULTS = Faults("localhost:9092")


@dataclass(frozen=True)
class Report:
    """A message of the driver, which cannot be made here; what brings these about is a race."""

    place: tuple[int | None, int | None]

    def partition(self) -> int | None:
        return self.place[0]

    def offset(self) -> int | None:
        return self.place[1]


def told(partition: int | None, offset: int | None, error: KafkaError | None = None) -> object:
    return report_of(error, cast("Message", Report((partition, offset))), FAULTS)


def test_an_offset_says_where_it_is() -> None:
    """The first record of a partition has offset 0: that is a place as well."""
    assert told(0, 0) == RecordOffset(0, 0)
    assert told(2, 41) == RecordOffset(2, 41)


def test_delivered_without_an_offset_may_be_lost() -> None:
    """The driver guesses it from the success of a later record; whoever sent it sends again."""
    report = told(1, None)

    assert isinstance(report, UnavailableError)
    assert "may be lost" in str(report)
    assert "Send it again" in str(report.hint)


def test_a_refusal_is_what_the_broker_said() -> None:
    """An offset means nothing beside an error."""
    report = told(1, 7, KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))

    assert isinstance(report, RecordTooLargeError)
    assert isinstance(report, AgentFlowError)
