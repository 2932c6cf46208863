"""Reading followed topics from Redis Streams: a read waits at the server until there is something.

An entry is readable once it is written, so everything that is read is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Event as Flag
from typing import Any, Final

from agentflow.errors import OffsetLostError, StorageError, UnavailableError
from ingestion.log.port import ONLY, RAW, Record
from ingestion.redis.bus import RedisBus
from ingestion.redis.entries import record_of
from ingestion.redis.faults import LOST, LOST_HINT
from ingestion.redis.names import id_before, offset_of, stream_key
from ingestion.redis.opening import RedisConfig, opened_bus
from ingestion.stream.port import TopicEnds

AT_ONCE: Final = 2_000
"""Most records of each topic that one `poll` returns."""

GATE: Final = "gate"
"""The consumer under whose name the gate stores how far it has come in raw, with its outcomes."""

_WAIT_MS: Final = 250


class RedisStream:
    """Reads topics that have one partition each, and says where everything ends.

    Delivery: each record once for each `open`. Order: within a topic. Thread-safety: one thread,
    but for `ends`. A server that is away is waited for.
    """

    def __init__(
        self,
        config: RedisConfig,
        topics: Iterable[str],
        *,
        lost: Callable[[], None],
        log_id: str | None = None,
    ) -> None:
        """Prepare; nothing connects before it is used.

        Args:
            config: The server.
            topics: Those to follow.
            log_id: Its log, as far as it is known: no other one is read.
            lost: Called, in any thread, when the server is gone.
        """
        self._config = config
        self._topics = {stream_key(config.prefix, topic, ONLY): topic for topic in topics}
        self._lost = lost
        self._positions: dict[str, int] = {}
        self._log_id = log_id
        self._bus: RedisBus | None = None
        self._asked: RedisBus | None = None
        self._away = False
        self._paused = False
        self._closed = Flag()

    def open(self, positions: Mapping[str, int]) -> None:
        """Begin to read each topic at its position."""
        self._positions = {topic: positions[topic] for topic in self._topics.values()}

    def poll(self) -> Sequence[Record]:
        """Wait for records and return those there are; or none, after a while.

        Raises:
            OffsetLostError: What comes next was deleted.
            StorageError: The server refuses, or lost everything it held.
        """
        if self._paused:
            self._closed.wait(_WAIT_MS / 1_000)
            return ()
        try:
            found = self._reader().read_after(
                {key: id_before(self._positions[topic]) for key, topic in self._topics.items()},
                limit=AT_ONCE,
                wait_ms=_WAIT_MS,
            )
        except UnavailableError:
            self._go_away()
            return ()
        self._away = False
        return [record for key, entries in found for record in self._taken(key, entries)]

    def _taken(self, key: str, entries: Sequence[Any]) -> Iterable[Record]:
        topic = self._topics[key]
        expected = self._positions[topic]
        first = offset_of(entries[0][0])
        if first != expected:
            raise OffsetLostError(f"{topic} begins at offset {first}, {expected} comes next")
        self._positions[topic] = expected + len(entries)
        return [record_of(topic, ONLY, entry, fields) for entry, fields in entries]

    def _reader(self) -> RedisBus:
        """Return the bus, opened again after the server was away: it may have lost its file."""
        if self._bus is None or self._away:
            if self._bus is not None:
                self._bus.close()
                self._bus = None
            self._bus = opened_bus(self._config)
            self._same_log(self._bus)
        return self._bus

    def _go_away(self) -> None:
        self._lost()
        self._away = True
        self._closed.wait(_WAIT_MS / 1_000)

    def _same_log(self, bus: RedisBus) -> None:
        if self._log_id is None:
            self._log_id = bus.log_id
        elif bus.log_id != self._log_id:
            raise StorageError(LOST, hint=LOST_HINT)

    def pause(self) -> None:
        """Let `poll` wait without reading."""
        self._paused = True

    def resume(self) -> None:
        """Read on."""
        self._paused = False

    def next_raw(self, place: str, offset: int, *, end: int) -> int | None:
        """Return the first offset of a raw partition from *offset* on that exists; else *end*."""
        partition = int(place.rpartition("/")[2])
        try:
            found = self._reader().read(RAW, start=offset, limit=1, partition=partition)
        except UnavailableError:
            return None
        return min(found[0].offset, end) if found else end

    def ends(self) -> TopicEnds:
        """Ask the server where everything ends; any thread.

        Raises:
            UnavailableError: It does not answer.
            StorageError: It lost what it held.
        """
        try:
            bus = self._asked = self._asked or opened_bus(self._config)
            return self._ends(bus)
        except UnavailableError:
            if self._asked is not None:
                self._asked.close()
                self._asked = None
            raise

    def _ends(self, bus: RedisBus) -> TopicEnds:
        if bus.current_log_id() != (self._log_id or bus.log_id):
            raise StorageError(LOST, hint=LOST_HINT)
        places = [(f"{self._config.raw_topic}/{n}", n) for n in range(bus.partitions(RAW))]
        judged = {name: bus.position(GATE, RAW, n) for name, n in places}  # before the ends
        return TopicEnds(
            followed={topic: bus.end(topic) for topic in self._topics.values()},
            raw={name: bus.end(RAW, n) for name, n in places},
            judged=judged,
        )

    def close(self) -> None:
        """Stop reading; `ends` may still be asked."""
        self._closed.set()
        if self._bus is not None:
            self._bus.close()
