"""What the gate does on a Redis server: outcomes, identities and progress in one transaction.

A counter that each commit raises is watched, as optimistic locking in Redis wants it: a gate that
was suspended finds that another one has gone on, and stores nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from redis import WatchError

from agentflow.errors import StorageError, UnavailableError
from ingestion.gate.port import GateProgress, Settlement, SupersededError
from ingestion.log.port import ONLY, RAW, Record
from ingestion.redis.entries import fields_of, record_of
from ingestion.redis.faults import LOST, LOST_HINT, translated
from ingestion.redis.names import (
    NEXT,
    id_at,
    id_before,
    lake_key,
    log_id_key,
    positions_key,
    reader_field,
    stream_key,
)
from ingestion.redis.opening import RedisConfig, connected
from ingestion.redis.stream import GATE

REMEMBERED: Final = timedelta(hours=24)
"""How long an identity is remembered; a replica knows those it has seen without end."""

_LEASE_MS: Final = 3_000
_WAIT_MS: Final = 250


class RedisGateBus:
    """A `GateBus` on one server; it connects when it is used, and again after a failure."""

    def __init__(
        self,
        config: RedisConfig,
        *,
        holder: str,
        log_id: str,
        remembered: timedelta = REMEMBERED,
    ) -> None:
        """Prepare.

        Args:
            config: The server.
            holder: A name no other gate has.
            log_id: The log that is judged; no other one is.
            remembered: How long identities are.
        """
        self._config = config
        self._holder = holder.encode()
        self._log_id = log_id
        self._remembered_ms = int(remembered.total_seconds() * 1_000)
        self._commits = f"{config.prefix}:gate:commits"
        self._leader = f"{config.prefix}:gate:leader"
        self._lake = lake_key(config.prefix)
        self._positions = positions_key(config.prefix)
        self._raw = [stream_key(config.prefix, RAW, n) for n in range(config.raw_partitions)]
        self._fields = [reader_field(GATE, RAW, n) for n in range(config.raw_partitions)]
        self._client: Any = None

    def lead(self) -> bool:
        """Become, or stay, the gate that works; False while another one is.

        Raises:
            StorageError: The server lost what it held.
        """
        with self._using() as client:
            found, log_id = client.mget([self._leader, log_id_key(self._config.prefix)])
            if log_id is None or log_id.decode() != self._log_id:
                raise StorageError(LOST, hint=LOST_HINT)
            if found is None:
                return bool(client.set(self._leader, self._holder, nx=True, px=_LEASE_MS))
            return found == self._holder and bool(client.pexpire(self._leader, _LEASE_MS))

    def resign(self) -> None:
        """Let another gate lead at once."""
        with self._using() as client:
            if client.get(self._leader) == self._holder:
                client.delete(self._leader)

    def claim_lake(self, lake_id: str) -> bool:
        """Say which lake the gates of this bus write; False when it is another one."""
        with self._using() as client:
            client.set(self._lake, lake_id, nx=True)
            return bool(client.get(self._lake) == lake_id.encode())

    def progress(self) -> GateProgress:
        """Return how far the gate has come."""
        with self._using() as client, client.pipeline(transaction=True) as pipeline:
            pipeline.get(self._commits)
            pipeline.hmget(self._positions, self._fields)
            commits, found = pipeline.execute()
        positions = {n: 0 if at is None else int(at) for n, at in enumerate(found)}
        return GateProgress(0 if commits is None else int(commits), positions)

    def read(self, positions: Mapping[int, int], *, limit: int) -> Sequence[Record]:
        """Wait a moment for raw records and return those there are, in order within partitions."""
        wanted = {self._raw[n]: id_before(at) for n, at in positions.items()}
        with self._using() as client:
            found = client.xread(wanted, count=limit, block=_WAIT_MS)
        return [
            record_of(RAW, int(key.rpartition(b":")[2]), entry, fields)
            for key, entries in found
            for entry, fields in entries
        ]

    def known(self, identities: Iterable[bytes]) -> Mapping[bytes, bytes]:
        """Return the content of each of *identities* that was counted before and is remembered."""
        asked = list(identities)
        if not asked:
            return {}
        with self._using() as client:
            found = client.mget([self._identity(each) for each in asked])
        return {each: at for each, at in zip(asked, found, strict=True) if at is not None}

    def commit(self, progress: GateProgress, settlement: Settlement) -> GateProgress:
        """Store *settlement*, durable when it returns, and return how far the gate is then.

        Raises:
            SupersededError: Another commit was made since *progress*; nothing was stored.
        """
        with self._using() as client, client.pipeline(transaction=True) as pipeline:
            pipeline.watch(self._commits)
            commits = pipeline.get(self._commits)
            if (0 if commits is None else int(commits)) != progress.commits:
                raise SupersededError
            pipeline.multi()
            pipeline.set(self._commits, progress.commits + 1)
            for topic, record in settlement.outcomes:
                pipeline.xadd(
                    stream_key(self._config.prefix, topic, ONLY), fields_of(record), id=NEXT
                )
            for identity, content in settlement.identities.items():
                pipeline.set(self._identity(identity), content, px=self._remembered_ms)
            reached = {self._fields[n]: at for n, at in settlement.positions.items()}
            pipeline.hset(self._positions, mapping=reached)
            try:
                pipeline.execute()
            except WatchError as error:
                raise SupersededError from error
        return GateProgress(progress.commits + 1, {**progress.positions, **settlement.positions})

    def trim(self, *, before: Mapping[str, int], raw: Mapping[int, int]) -> None:
        """Let go of records of followed topics, and of raw partitions, before these offsets."""
        keys = {stream_key(self._config.prefix, topic, ONLY): at for topic, at in before.items()}
        keys |= {self._raw[n]: at for n, at in raw.items()}
        with self._using() as client, client.pipeline(transaction=False) as pipeline:
            for key, offset in keys.items():
                pipeline.xtrim(key, minid=id_at(offset), approximate=True)
            pipeline.execute()

    def close(self) -> None:
        """Let connections go."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _identity(self, identity: bytes) -> bytes:
        return f"{self._config.prefix}:identity:".encode() + identity

    @contextmanager
    def _using(self) -> Iterator[Any]:
        """Give the client; after a failure the next one is new, and the server checked again."""
        try:
            with translated(self._config.place):
                client = self._client or connected(self._config.url)
                self._client = client  # another thread may close it meanwhile, and then forget it
                yield client
        except UnavailableError:
            self.close()
            raise
