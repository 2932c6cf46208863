"""The bus on Redis Streams: a stream for each partition, whose ids are its offsets.

The id of entry n is `0-<n + 1>`: Redis counts the second part by itself (`XADD key 0-*`), keeps
counting after old entries were trimmed, and does so under concurrent writers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agentflow.errors import ParameterError
from ingestion.log.port import ONLY, NewRecord, Place, Record
from ingestion.log.topic_names import checked_topic
from ingestion.partitioner import partition_of
from ingestion.redis.faults import translated

if TYPE_CHECKING:
    from redis import Redis

_KEY: Final = b"k"
_VALUE: Final = b"v"
_HEADERS: Final = b"h"
_TIME: Final = b"t"
_headers = msgspec.msgpack.Decoder(dict[str, str]).decode
_encode = msgspec.msgpack.Encoder().encode


class RedisBus:
    """A `Bus` on one Redis server. Built by `ingestion.redis.opening.open_redis_bus`.

    Delivery: all records of an `append` are stored, or none; durable when it returns if the server
    has `appendonly yes` and `appendfsync always`. Order: per key. Positions are a hash beside the
    streams. Thread-safety: any thread.
    """

    def __init__(
        self,
        client: Redis,
        *,
        place: str,
        prefix: str,
        log_id: str,
        partitions: Mapping[str, int] | None = None,
    ) -> None:
        self._client: Any = client  # the driver types every answer as sync or async
        self._place = place
        self._prefix = prefix
        self._log_id = log_id
        self._partitions = dict(partitions or {})

    @property
    def log_id(self) -> str:
        """Name of this log, made when the prefix was first used on the server."""
        return self._log_id

    def partitions(self, topic: str) -> int:
        """Return how many partitions *topic* was given; one, if nothing was said."""
        return self._partitions.get(checked_topic(topic), 1)

    def append(self, topic: str, records: Sequence[NewRecord]) -> Sequence[Place]:
        """Store *records* in order, all or none; see `Bus.append`.

        Raises:
            ParameterError: The topic is no valid name.
            UnavailableError: The server does not answer.
            StorageError: Nothing was stored.
        """
        count = self.partitions(topic)
        if not records:
            return []
        parts = [partition_of(record.key or b"", count) for record in records]
        with translated(self._place), self._client.pipeline(transaction=True) as pipeline:
            for record, partition in zip(records, parts, strict=True):
                pipeline.xadd(self._stream(topic, partition), _fields(record), id="0-*")
            ids = pipeline.execute()
        return [
            Place(partition, _offset(stored)) for partition, stored in zip(parts, ids, strict=True)
        ]

    def read(
        self, topic: str, *, start: int, limit: int, partition: int = ONLY
    ) -> Sequence[Record]:
        """Return up to *limit* records at or after *start* in offset order; empty at the end."""
        stream = self._checked(topic, partition)
        if limit < 1:
            return []
        with translated(self._place):
            entries = self._client.xrange(stream, min=f"0-{start + 1}", max="+", count=limit)
        return [_record(topic, partition, entry, fields) for entry, fields in entries]

    def end(self, topic: str, partition: int = ONLY) -> int:
        """Return the offset the next record will be given."""
        stream = self._checked(topic, partition)
        with translated(self._place):
            if not self._client.exists(stream):
                return 0
            last: bytes = self._client.xinfo_stream(stream)["last-generated-id"]
        return _offset(last) + 1

    def position(self, consumer: str, topic: str, partition: int = ONLY) -> int:
        """Return the next offset *consumer* has to read; 0 when it never stored one."""
        self._checked(topic, partition)
        with translated(self._place):
            found = self._client.hget(self._positions, _reader(consumer, topic, partition))
        return 0 if found is None else int(found)

    def store_position(self, consumer: str, topic: str, offset: int, partition: int = ONLY) -> None:
        """Remember durably that *consumer* is done with everything before *offset*."""
        self._checked(topic, partition)
        with translated(self._place):
            self._client.hset(self._positions, _reader(consumer, topic, partition), offset)

    @property
    def _positions(self) -> str:
        return f"{self._prefix}:positions"

    def _stream(self, topic: str, partition: int) -> str:
        return f"{self._prefix}:{topic}:{partition}"

    def _checked(self, topic: str, partition: int) -> str:
        """Return the stream of a partition that exists."""
        count = self.partitions(topic)
        if not 0 <= partition < count:
            raise ParameterError(
                f'topic "{topic}" has no partition {partition}',
                hint=f"Its partitions are 0 to {count - 1}.",
            )
        return self._stream(topic, partition)

    def close(self) -> None:
        """Let connections go."""
        self._client.close()


def _reader(consumer: str, topic: str, partition: int) -> str:
    return f"{topic}/{partition}/{consumer}"


def _fields(record: NewRecord) -> dict[bytes, bytes | int]:
    fields: dict[bytes, bytes | int] = {
        _VALUE: record.value,
        _HEADERS: _encode(dict(record.headers)),
        _TIME: record.timestamp_us,
    }
    if record.key is not None:
        fields[_KEY] = record.key
    return fields


def _record(topic: str, partition: int, entry: bytes, fields: Mapping[bytes, bytes]) -> Record:
    return Record(
        topic,
        partition,
        _offset(entry),
        fields.get(_KEY),
        fields[_VALUE],
        _headers(fields[_HEADERS]),
        int(fields[_TIME]),
    )


def _offset(entry: bytes | str) -> int:
    """Return the offset of an id, whatever the driver was told to decode."""
    text = entry.decode() if isinstance(entry, bytes) else entry
    return int(text.partition("-")[2]) - 1
