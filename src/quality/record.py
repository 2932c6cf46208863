"""How an accepted event is stored in the validated topic: MessagePack, decimals as exact text."""

from __future__ import annotations

from typing import Protocol, cast

import msgspec

from agentflow.errors import StorageCorruptError
from agentflow.events import Event, EventRef
from agentflow.wording import quoted

_encode = msgspec.msgpack.Encoder().encode


class _Record(Protocol):
    """What the generated record struct holds."""

    id: str
    source: str
    tenant: str
    occurred_us: int
    ingested_us: int
    subject: str | None
    correlation_id: str | None
    data: msgspec.Struct


class Named(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Whose record it is: what every record begins with, whatever its contract."""

    id: str
    source: str
    tenant: str


_decode_named = msgspec.msgpack.Decoder(Named).decode


def named(record: bytes) -> Named | None:
    """Return whose record it is, without knowing its contract; None if it is not one."""
    try:
        return _decode_named(record)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class RecordCodec:
    """Records of one event version: an array of the envelope, then the data by field name.

    Names, not positions, hold the data, so that a compatible change of the contract keeps every
    stored record readable.
    """

    def __init__(self, data_type: type[msgspec.Struct]) -> None:
        record_type = msgspec.defstruct(
            f"{data_type.__name__}Record",
            [
                ("id", str),
                ("source", str),
                ("tenant", str),
                ("occurred_us", int),
                ("ingested_us", int),
                ("subject", str | None),
                ("correlation_id", str | None),
                ("data", data_type),
            ],
            array_like=True,
        )
        self._decode = msgspec.msgpack.Decoder(record_type).decode

    def encode(self, event: Event) -> bytes:
        """Return the record of *event*."""
        return _encode(
            (
                event.id,
                event.source,
                event.tenant,
                event.occurred_us,
                event.ingested_us,
                event.subject,
                event.correlation_id,
                event.data,
            )
        )

    def decode(self, ref: EventRef, record: bytes) -> Event:
        """Return the event of a record.

        Raises:
            StorageCorruptError: The bytes are not such a record.
        """
        try:
            stored = cast("_Record", self._decode(record))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StorageCorruptError(f"a record is not an event {quoted(ref)}") from error
        return Event(
            stored.id,
            stored.source,
            ref.type,
            ref.version,
            stored.tenant,
            stored.occurred_us,
            stored.ingested_us,
            stored.data,
            stored.subject,
            stored.correlation_id,
        )
