"""The Python functions of the jobs, as Flink calls them: a record in, rows out.

Rows are flat and maps stay outside: each entry of a map crosses the bridge between Java and
Python by itself (ADR 0014).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from pyflink.common import Row
from pyflink.table import DataTypes, FunctionContext
from pyflink.table.types import DataType
from pyflink.table.udf import ScalarFunction

from agentflow.contracts import Contract
from agentflow.events import RawEvent
from processing.flink.bundle import unpack
from processing.flink.port import MakeRow, RowMaker
from processing.flink.statements import COLUMNS, HEADERS
from processing.transformations.stream import StreamGate, StreamOutput, StreamRecord

Headers = Mapping[str, bytes | None]
_MICROS_PER_MILLI = 1_000
_NOWHERE = ("", 0, 0)


def answer_type() -> DataType:
    """Return the type of one answer; `statements.COLUMNS` names its fields."""
    others = dict.fromkeys(("ingested_ms", "content", "received_us"), DataTypes.BIGINT())
    others["destination"] = DataTypes.STRING()
    return DataTypes.ROW(
        [DataTypes.FIELD(name, others.get(name, DataTypes.BYTES())) for name in COLUMNS]
    )


class Judge(ScalarFunction):  # type: ignore[misc]
    """Answers for a record that is one event. Total; the contracts are compiled once a task."""

    def __init__(self, contracts: bytes) -> None:
        self._contracts = contracts

    def open(self, function_context: FunctionContext) -> None:
        """Compile the contracts."""
        del function_context
        self._output = StreamGate(unpack(self._contracts)).output

    def eval(
        self,
        value: bytes | None,
        timestamp_ms: int,
        tenant: bytes | None,
        received_us: bytes | None,
        attributes: str | None,
    ) -> Row:
        """Return the answer; *attributes* are all headers, given where some are the event's own.

        The place of the record is not part of a verdict: SQL puts it among the headers.
        """
        at_us = timestamp_ms * _MICROS_PER_MILLI
        headers: Headers = {"tenant": tenant, "received_us": received_us}
        if attributes is not None:
            headers = _decode_headers(attributes)
        return _row(self._output(StreamRecord(*_NOWHERE, at_us, None, value, headers)))


class ConflictLetter(ScalarFunction):  # type: ignore[misc]
    """Answers for an accepted event whose identity another one has."""

    def __init__(self, contracts: bytes) -> None:
        self._contracts = contracts

    def open(self, function_context: FunctionContext) -> None:
        """Compile the contracts."""
        del function_context
        self._letter = StreamGate(unpack(self._contracts)).conflict_letter

    def eval(self, document: bytes, tenant: bytes, received_us: int) -> Row:
        """Return the answer."""
        raw = RawEvent(document, tenant.decode(), received_us)
        return _row(self._letter(raw, {}))


class JudgeChange(ScalarFunction):  # type: ignore[misc]
    """Answers for a record of a change topic, which may mean several events or none. Total."""

    def __init__(self, contracts: bytes) -> None:
        self._contracts = contracts

    def open(self, function_context: FunctionContext) -> None:
        """Compile the contracts."""
        del function_context
        self._outputs = StreamGate(unpack(self._contracts)).outputs

    def eval(  # noqa: PLR0913, PLR0917 - the columns of a Kafka record
        self,
        key: bytes | None,
        value: bytes | None,
        topic: str,
        partition: int,
        offset: int,
        timestamp_ms: int,
        headers: Headers,
    ) -> list[Row]:
        """Return the answers."""
        at_us = timestamp_ms * _MICROS_PER_MILLI
        record = StreamRecord(topic, partition, offset, at_us, key, value, headers)
        return [_row(output) for output in self._outputs(record)]


_decode_headers = msgspec.json.Decoder(dict[str, bytes | None]).decode  # bytes are Base64


def _row(output: StreamOutput) -> Row:
    record, identity = output.record, output.identity
    header = record.headers.get
    return Row(
        output.topic,
        None if identity is None else identity.hex().encode(),
        record.key,
        record.value,
        *[None if (text := header(name)) is None else text.encode() for name in HEADERS],
        record.timestamp_us // _MICROS_PER_MILLI,
        None if output.content is None else int.from_bytes(output.content, "big", signed=True),
        output.document,
        record.timestamp_us,
    )


class RowOf(ScalarFunction):  # type: ignore[misc] # pyflink has no types
    """A maker of rows as a function of Flink: the contracts travel with the job.

    Args:
        maker: Called once per worker, with the contracts and Flink's row.
    """

    def __init__(
        self,
        contracts: Sequence[Contract],
        maker: Callable[[Sequence[Contract], MakeRow], RowMaker],
    ) -> None:
        self._contracts = contracts
        self._maker = maker
        self._row: Any = None

    def open(self, function_context: object) -> None:
        """Compile the contracts, once per worker."""
        del function_context
        self._row = self._maker(self._contracts, Row).row

    def is_deterministic(self) -> bool:
        """Say no: of a function that says yes, the planner makes one call for each use."""
        return False

    def eval(self, record: bytes | None, kind: str | None, version: str | None) -> Any:  # noqa: ANN401
        """Return the row of one record."""
        return self._row(record, kind, version)
