"""Chunks: the rows in which the SQLite log keeps records, many to a row, each row with a checksum.

One row per record would cost two million SQLite steps a second and as many hand-overs of the
interpreter lock; one row per chunk costs a few steps per commit whatever its size (ADR 0004).
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

import msgspec

from agentflow.errors import StorageCorruptError
from agentflow.wording import quoted
from ingestion.log.port import NewRecord, Record

CHUNK_RECORDS: Final = 256
"""Most records in a chunk: bounds what reading a single record has to decode."""

CHUNK_BYTES: Final = 4 << 20
"""A larger chunk is split, unless it is one record."""

DIGEST_BYTES: Final = 16
OFFSET_BYTES: Final = 8
ENTRY_BYTES: Final = DIGEST_BYTES + OFFSET_BYTES

_offset = itemgetter(1)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[NewRecord]).decode
_split = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_one = msgspec.msgpack.Decoder(NewRecord).decode


class Chunk(NamedTuple):
    """One row of a topic's table, in column order.

    Attributes:
        first: Offset of the first record; the others follow without gaps.
        checksum: CRC-32 over `first`, `size` and the three byte columns.
        identities: 16 bytes per record, or empty; the source of the identity index.
        links: 24 bytes per link: digest, then offset (big endian); the source of the link index.
        records: MessagePack list of `NewRecord`.
    """

    first: int
    size: int
    checksum: int
    identities: bytes
    links: bytes
    records: bytes


def _checksum(first: int, count: int, *columns: bytes) -> int:
    checksum = zlib.crc32(b"%d,%d" % (first, count))
    for column in columns:
        checksum = zlib.crc32(column, checksum)
    return checksum


def intact(chunk: Chunk) -> bool:
    """Tell whether the chunk is what was written; damage may have changed even column types."""
    first, count, checksum, *columns = chunk
    try:
        return checksum == _checksum(first, count, *columns)
    except TypeError:
        return False


def encode_chunks(
    first: int,
    records: Sequence[NewRecord],
    *,
    identities: Sequence[bytes] = (),
    links: Sequence[tuple[bytes, int]] = (),
) -> Iterator[Chunk]:
    """Pack *records*, which get the offsets from *first* on, into chunks of bounded size.

    *identities* has one digest per record or none at all; *links* are (digest, offset) by offset.
    """
    for start in range(0, len(records), CHUNK_RECORDS):
        part = records[start : start + CHUNK_RECORDS]
        yield from _encode_part(
            first + start, part, identities=identities[start : start + len(part)], links=links
        )


def _encode_part(
    first: int,
    records: Sequence[NewRecord],
    *,
    identities: Sequence[bytes],
    links: Sequence[tuple[bytes, int]],
) -> Iterator[Chunk]:
    body = _encode(records)
    count = len(records)
    if len(body) > CHUNK_BYTES and count > 1:
        half = count // 2
        yield from _encode_part(first, records[:half], identities=identities[:half], links=links)
        yield from _encode_part(
            first + half, records[half:], identities=identities[half:], links=links
        )
        return
    digests = b"".join(identities)
    low = bisect_left(links, first, key=_offset)
    high = bisect_left(links, first + count, low, key=_offset)
    yield _sealed(first, count, digests, pack_entries(links[low:high]), body)


def encode_entries(first: int, pairs: Sequence[tuple[bytes, int]]) -> Chunk:
    """Pack (digest, offset) pairs without records, for what was accepted before this log began."""
    return _sealed(first, len(pairs), b"", pack_entries(pairs), _encode([]))


def _sealed(first: int, size: int, digests: bytes, entries: bytes, body: bytes) -> Chunk:
    checksum = _checksum(first, size, digests, entries, body)
    return Chunk(first, size, checksum, digests, entries, body)


def pack_entries(pairs: Iterable[tuple[bytes, int]]) -> bytes:
    """Concatenate pairs as entries, each of which sorts by digest and then by offset."""
    return b"".join(digest + offset.to_bytes(OFFSET_BYTES, "big") for digest, offset in pairs)


def unpack_entries(packed: bytes) -> Iterator[tuple[bytes, int]]:
    """Take concatenated entries apart."""
    for start in range(0, len(packed), ENTRY_BYTES):
        middle = start + DIGEST_BYTES
        yield packed[start:middle], int.from_bytes(packed[middle : start + ENTRY_BYTES], "big")


def unpack_digests(first: int, packed: bytes) -> Iterator[tuple[bytes, int]]:
    """Pair concatenated digests with the offsets from *first* on."""
    for number, start in enumerate(range(0, len(packed), DIGEST_BYTES)):
        yield packed[start : start + DIGEST_BYTES], first + number


def decode_chunk(topic: str, chunk: Chunk) -> list[Record]:
    """Unpack all records of a chunk, in offset order.

    Raises:
        StorageCorruptError: The checksum does not match.
    """
    _require_intact(topic, chunk)
    return [
        Record(topic, 0, offset, new.key, new.value, new.headers, new.timestamp_us)
        for offset, new in enumerate(_decode(chunk.records), chunk.first)
    ]


def decode_records(topic: str, chunk: Chunk, offsets: Sequence[int]) -> list[Record]:
    """Unpack only the records at *offsets*, all of which lie in the chunk.

    Raises:
        StorageCorruptError: The checksum does not match.
    """
    _require_intact(topic, chunk)
    parts = _split(chunk.records)
    found = []
    for offset in offsets:
        new = _decode_one(parts[offset - chunk.first])
        found.append(Record(topic, 0, offset, new.key, new.value, new.headers, new.timestamp_us))
    return found


def _require_intact(topic: str, chunk: Chunk) -> None:
    if not intact(chunk):
        raise StorageCorruptError(
            f"topic {quoted(topic)} is damaged at offsets {chunk.first} to "
            f"{chunk.first + chunk.size - 1}",
            hint="Restart: the log is checked and salvaged, the lake holds what was written to it.",
        )
