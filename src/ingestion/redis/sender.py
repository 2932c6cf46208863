"""Appending to Redis from an event loop: what waits while one write is under way goes in the next.

Each write is one transaction that the server has on disk before it answers; many requests share it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from agentflow.errors import BacklogFullError, UnavailableError
from agentflow.wording import counted
from ingestion.log.port import RAW, NewRecord, RecordOffset
from ingestion.partitioner import partition_of
from ingestion.redis.entries import fields_of
from ingestion.redis.faults import LOST, LOST_HINT, translated
from ingestion.redis.names import NEXT, log_id_key, offset_of, stream_key
from ingestion.redis.opening import RedisConfig, connection_options, malformed

_AT_ONCE: Final = 2_000
"""Records of one transaction: other clients of the server wait meanwhile."""


@dataclass(slots=True)
class _Sending:
    """Records of one `send`, and the caller that waits for their places."""

    topic: str
    records: Sequence[NewRecord]
    offsets: asyncio.Future[Sequence[RecordOffset]]


class RedisSender:
    """Appends records; all of one `send`, or none.

    Delivery: durable when `send` returns; when it raises `UnavailableError`, they may be stored.
    Order: of the calls. Thread-safety: one event loop.
    """

    def __init__(self, config: RedisConfig, *, log_id: str | None = None) -> None:
        """Prepare; nothing connects before it is used.

        Args:
            config: The server.
            log_id: Its log, as far as it is known: no other one is written to.

        Raises:
            ParameterError: The address is malformed.
        """
        self._config = config
        self._waiting: list[_Sending] = []
        self._records = 0
        self._writing: asyncio.Task[None] | None = None
        self._closed = False
        self._log_id = None if log_id is None else log_id.encode()
        self._loop: asyncio.AbstractEventLoop | None = None
        try:
            self._client: Any = Redis.from_url(
                config.url, **connection_options(), retry=Retry(NoBackoff(), 0)
            )
        except ValueError as error:
            raise malformed() from error

    async def send(self, topic: str, records: Sequence[NewRecord]) -> Sequence[RecordOffset]:
        """Append *records* to *topic* and return where each is, in the same order.

        Raises:
            BacklogFullError: Too much waits already; nothing was taken.
            UnavailableError: The server did not answer; sending again can help.
            StorageError: The server refuses; nothing was stored.
        """
        if not records:
            return ()
        if self._closed:
            raise UnavailableError("the sender is closed", hint="The process is stopping.")
        if self._records + len(records) > self._config.capacity_records:
            raise BacklogFullError(
                f"redis has not taken {counted(self._records, 'record')} yet",
                hint="Send again in a second; slow down if it happens often.",
            )
        self._loop = asyncio.get_running_loop()
        offsets: asyncio.Future[Sequence[RecordOffset]] = self._loop.create_future()
        self._waiting.append(_Sending(topic, records, offsets))
        self._records += len(records)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all(), name="redis-sender")
        return await offsets

    async def _write_all(self) -> None:
        while batch := self._next_batch():
            try:
                found = await self._write(batch)
            except Exception as error:  # noqa: BLE001 - those who wait are told; the rest goes on
                for sending in batch:
                    _fail(sending, error)
            else:
                for sending, offsets in zip(batch, found, strict=True):
                    if not sending.offsets.done():  # who waited was cancelled
                        sending.offsets.set_result(offsets)
            finally:
                self._records -= sum(len(sending.records) for sending in batch)

    def _next_batch(self) -> list[_Sending]:
        batch: list[_Sending] = []
        count = 0
        for sending in self._waiting:
            if batch and count + len(sending.records) > _AT_ONCE:
                break
            batch.append(sending)
            count += len(sending.records)
        del self._waiting[: len(batch)]
        return batch

    async def _write(self, batch: Sequence[_Sending]) -> list[list[RecordOffset]]:
        prefix, count = self._config.prefix, self._config.raw_partitions
        parts = [
            [
                partition_of(r.key or b"", count if sending.topic == RAW else 1)
                for r in sending.records
            ]
            for sending in batch
        ]
        with translated(self._config.place):
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.get(log_id_key(prefix))
                for sending, partitions in zip(batch, parts, strict=True):
                    for record, partition in zip(sending.records, partitions, strict=True):
                        key = stream_key(prefix, sending.topic, partition)
                        pipeline.xadd(key, fields_of(record), id=NEXT)
                log_id, *stored = await pipeline.execute()
        self._require_same_log(log_id)
        ids = iter(stored)
        return [[RecordOffset(part, offset_of(next(ids))) for part in each] for each in parts]

    def _require_same_log(self, log_id: bytes | None) -> None:
        """Acknowledge nothing that goes to a server which lost what it held: it will not be judged.

        Raises:
            UnavailableError: It did.
        """
        if log_id is not None and self._log_id is None:
            self._log_id = log_id
        if log_id is None or log_id != self._log_id:
            raise UnavailableError(LOST, hint=LOST_HINT)

    def close(self) -> None:
        """Take nothing more and let connections go; blocks, so not on the event loop.

        Call it once no request is under way.
        """
        self._closed = True
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._client.aclose(), self._loop).result()


def _fail(sending: _Sending, error: BaseException) -> None:
    if not sending.offsets.done():
        sending.offsets.set_exception(error)
