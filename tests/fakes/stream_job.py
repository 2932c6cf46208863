"""What the job in the stream does with one raw record, without Flink: for tests and benches."""

from __future__ import annotations

from collections.abc import Sequence

from agentflow.contracts import Registry
from ingestion.log.port import DUPLICATES, Record
from processing.transformations.stream import StreamGate, StreamOutput, StreamRecord, receipt


class PlainJob:
    """Judges raw records one after another by the job's own function; knows identities like it."""

    def __init__(self, registry: Registry) -> None:
        self._gate = StreamGate(registry)
        self.known: set[bytes] = set()

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
        return list(map(self._first, self._gate.outputs(arrived)))

    def _first(self, output: StreamOutput) -> StreamOutput:
        if output.identity is None:
            return output
        if output.identity in self.known:
            return StreamOutput(DUPLICATES, receipt(output), output.identity)
        self.known.add(output.identity)
        return output
