"""What the job in the stream does with one raw record, without Flink: for tests and benches."""

from __future__ import annotations

from collections.abc import Sequence

from agentflow.contracts import Registry
from ingestion.log.port import Record
from processing.transformations.stream import (
    Identities,
    StreamGate,
    StreamOutput,
    StreamRecord,
)


class PlainJob:
    """Judges raw records one after another by the job's own function; knows identities like it."""

    def __init__(self, registry: Registry) -> None:
        self._gate = StreamGate(registry)
        self._identities = Identities(self._gate)

    def forget(self) -> None:
        """Know no identity any more, as after its time to live."""
        self._identities = Identities(self._gate)

    def outcomes(self, record: Record, raw_topic: str) -> Sequence[StreamOutput]:
        """Return what *record* becomes."""
        headers = {name: text.encode() for name, text in record.headers.items()}
        arrived = StreamRecord(
            raw_topic,
            record.partition,
            record.offset,
            record.timestamp_us,
            record.key,
            record.value,
            headers,
        )
        return list(map(self._identities.settled, self._gate.outputs(arrived)))
