"""Records as entries of a Redis stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from ingestion.log.port import NewRecord, Record
from ingestion.redis.names import offset_of

_KEY: Final = b"k"
_VALUE: Final = b"v"
_HEADERS: Final = b"h"
_TIME: Final = b"t"
_DIGITS: Final = 18
_headers = msgspec.msgpack.Decoder(dict[str, str]).decode
_encode = msgspec.msgpack.Encoder().encode


def fields_of(record: NewRecord) -> dict[bytes, bytes | int]:
    """Return the fields of the entry that holds *record*."""
    fields: dict[bytes, bytes | int] = {
        _VALUE: record.value,
        _HEADERS: _encode(dict(record.headers)),
        _TIME: record.timestamp_us,
    }
    if record.key is not None:
        fields[_KEY] = record.key
    return fields


def record_of(topic: str, partition: int, entry: bytes, fields: Mapping[bytes, bytes]) -> Record:
    """Return the record of an entry; total.

    Any client of the server can add entries, `XADD agentflow:raw:0 0-* v '{…}'` for one: what
    is absent or of no use is empty, and the time is 0, which no event of ours has.
    """
    written = fields.get(_TIME, b"")
    known = written.isdigit() and len(written) <= _DIGITS
    return Record(
        topic,
        partition,
        offset_of(entry),
        fields.get(_KEY),
        fields.get(_VALUE, b""),
        _headers_of(fields.get(_HEADERS)),
        int(written) if known else 0,
    )


def _headers_of(written: bytes | None) -> Mapping[str, str]:
    if written is None:
        return {}
    try:
        return _headers(written)
    except msgspec.MsgspecError:
        return {}
