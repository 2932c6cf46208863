"""Records as the bus knows them, and as the driver has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from agentflow.events import RawEvent
from ingestion.log.port import NewRecord, Record

if TYPE_CHECKING:
    from confluent_kafka import Message

MICROS_PER_MILLI: Final = 1_000
RECEIVED: Final = "received_us"
TENANT: Final = "tenant"
OF_ANY_AGE: Final = "of_any_age"


def raw_record(event: RawEvent, key: bytes | None) -> NewRecord:
    """Return what the intake puts on `raw`: the bytes as they came, the rest in headers.

    Kafka's own time has milliseconds; `received_us` keeps what the answer and the lake show.
    """
    headers = {TENANT: event.tenant, RECEIVED: str(event.received_us)}
    if event.of_any_age:
        headers[OF_ANY_AGE] = "true"
    return NewRecord(key, event.value, headers, event.received_us)


def size_bytes(record: NewRecord) -> int:
    """Return about how much room *record* takes in a request."""
    headers = sum(len(name) + len(value) for name, value in record.headers.items())
    return len(record.value) + len(record.key or b"") + headers


def record_of(message: Message, topic: str) -> Record:
    """Return the record of a message that is not an error; *topic* without its prefix.

    A tombstone has an empty value. Of headers with one name the last counts, as for Kafka's own
    clients; one that is not UTF-8 is shown as far as it is.
    """
    partition, offset = message.partition(), message.offset()
    _, timestamp_ms = message.timestamp()
    return Record(
        topic,
        0 if partition is None else partition,
        0 if offset is None else offset,
        _bytes_or_none(message.key()),
        _bytes_or_none(message.value()) or b"",
        headers_of(message),
        timestamp_ms * MICROS_PER_MILLI,
    )


def headers_of(message: Message) -> Mapping[str, str]:
    """Return the headers as text."""
    found = message.headers()
    if not found:
        return {}
    pairs = found.items() if isinstance(found, dict) else found
    return {name: _text(value) for name, value in pairs}


def _text(value: str | bytes | None) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value or ""


def _bytes_or_none(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
