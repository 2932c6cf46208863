"""The bus on Redis Streams: a stream for each partition, whose ids are its offsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentflow.errors import ParameterError
from ingestion.log.port import ONLY, NewRecord, Record, RecordOffset
from ingestion.log.topic_names import checked_topic
from ingestion.partitioner import partition_of
from ingestion.redis.entries import fields_of, record_of
from ingestion.redis.faults import translated
from ingestion.redis.names import (
    NEXT,
    id_at,
    lake_key,
    log_id_key,
    offset_of,
    positions_key,
    reader_field,
    stream_key,
)

if TYPE_CHECKING:
    from redis import Redis

Entries = Sequence[tuple[bytes, Mapping[bytes, bytes]]]
"""Ids and fields."""


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

    def append(self, topic: str, records: Sequence[NewRecord]) -> Sequence[RecordOffset]:
        """Store *records* in order, all or none; see `Bus.append`.

        Raises:
            ParameterError: The topic's name is not valid.
            UnavailableError: The server does not answer.
            StorageError: Nothing was stored.
        """
        count = self.partitions(topic)
        if not records:
            return []
        parts = [partition_of(record.key or b"", count) for record in records]
        with translated(self._place), self._client.pipeline(transaction=True) as pipeline:
            for record, partition in zip(records, parts, strict=True):
                pipeline.xadd(self._stream(topic, partition), fields_of(record), id=NEXT)
            ids = pipeline.execute()
        return [
            RecordOffset(partition, offset_of(stored))
            for partition, stored in zip(parts, ids, strict=True)
        ]

    def read(
        self, topic: str, *, start: int, limit: int, partition: int = ONLY
    ) -> Sequence[Record]:
        """Return up to *limit* records at or after *start* in offset order; empty at the end."""
        stream = self._checked(topic, partition)
        if limit < 1:
            return []
        with translated(self._place):
            entries = self._client.xrange(stream, min=id_at(start), max="+", count=limit)
        return [record_of(topic, partition, entry, fields) for entry, fields in entries]

    def read_after(
        self, streams: Mapping[str, str], *, limit: int, wait_ms: int
    ) -> Sequence[tuple[str, Entries]]:
        """Wait until a stream has entries behind its id; return those there are, by stream.

        Args:
            streams: Keys of streams and ids.
            limit: Most entries of each.
            wait_ms: Return with none after so long.
        """
        with translated(self._place):
            found = self._client.xread(dict(streams), count=limit, block=wait_ms)
        return [(key.decode(), entries) for key, entries in found if entries]

    def current_log_id(self) -> str | None:
        """Return the name of the log the server holds now; None when it lost it."""
        with translated(self._place):
            found = self._client.get(log_id_key(self._prefix))
        return None if found is None else str(found.decode())

    def lake_id(self) -> str | None:
        """Return the name of the lake that the gates write; None before the first of them."""
        with translated(self._place):
            found = self._client.get(lake_key(self._prefix))
        return None if found is None else str(found.decode())

    def start(self, topic: str, partition: int = ONLY) -> int:
        """Return the first offset there is; the end when there is none."""
        stream = self._checked(topic, partition)
        with translated(self._place):
            first = self._client.xrange(stream, count=1)
        return offset_of(first[0][0]) if first else self.end(topic, partition)

    def end(self, topic: str, partition: int = ONLY) -> int:
        """Return the offset the next record will be given."""
        stream = self._checked(topic, partition)
        with translated(self._place):
            if not self._client.exists(stream):
                return 0
            last: bytes = self._client.xinfo_stream(stream)["last-generated-id"]
        return offset_of(last) + 1

    def position(self, consumer: str, topic: str, partition: int = ONLY) -> int:
        """Return the next offset *consumer* has to read; 0 when it never stored one."""
        self._checked(topic, partition)
        with translated(self._place):
            found = self._client.hget(self._positions, reader_field(consumer, topic, partition))
        return 0 if found is None else int(found)

    def store_position(self, consumer: str, topic: str, offset: int, partition: int = ONLY) -> None:
        """Remember durably that *consumer* is done with everything before *offset*."""
        self._checked(topic, partition)
        with translated(self._place):
            self._client.hset(self._positions, reader_field(consumer, topic, partition), offset)

    @property
    def _positions(self) -> str:
        return positions_key(self._prefix)

    def _stream(self, topic: str, partition: int) -> str:
        return stream_key(self._prefix, topic, partition)

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
