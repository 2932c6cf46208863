"""A stream in memory whose job does what it is told: runs, stops, repeats itself, goes away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Condition
from typing import Any

from confluent_kafka import KafkaError

from agentflow.contracts import Registry
from agentflow.errors import OffsetLostError, UnavailableError
from agentflow.supervision import Supervisor
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.producer import KafkaProducer
from ingestion.log.port import NewRecord, Record, RecordOffset
from ingestion.stream.port import FOLLOWED, TopicBounds, TopicEnds
from tests.fakes.stream_job import PlainJob

RAW_TOPIC = "shop.raw"


class FakeBroker:
    """Topics, the job between them, and everything a platform needs of a broker.

    Attributes:
        down: Nobody answers.
        at_once: Most records one poll returns.
    """

    name = "Kafka"
    raw_topic = RAW_TOPIC

    def __init__(self, registry: Registry, *, partitions: int = 2) -> None:
        self.job = PlainJob(registry)
        self.raw: list[list[Record | None]] = [[] for _ in range(partitions)]
        self.topics: dict[str, list[Record | None]] = {topic: [] for topic in FOLLOWED}
        self.judged = [0] * partitions
        self.committed = [0] * partitions
        self.down = False
        self.running = True
        self.at_once = 100
        self.changed = Condition()
        self.lost: list[Callable[[], None]] = []

    # -- the job

    def append_raw(self, partition: int, value: bytes, tenant: str = "acme", at_us: int = 0) -> int:
        headers = {"tenant": tenant, "received_us": str(at_us)}
        offset = len(self.raw[partition])
        self.raw[partition].append(Record("raw", partition, offset, None, value, headers, at_us))
        return offset

    def work(self, most: int | None = None) -> int:
        """Judge what waits, at most so many, the partitions in turn."""
        done = 0
        with self.changed:
            while most is None or done < most:
                waiting = [p for p, raw in enumerate(self.raw) if self.judged[p] < len(raw)]
                if not waiting:
                    break
                for partition in waiting:
                    record = self.raw[partition][self.judged[partition]]
                    self.judged[partition] += 1
                    if record is not None:
                        self._put(record)
                    done += 1
            self.changed.notify_all()
        return done

    def checkpoint(self) -> None:
        """Have the job say how far it has come."""
        self.committed = list(self.judged)

    def _put(self, record: Record) -> None:
        for output in self.job.outcomes(record, RAW_TOPIC):
            there, new = self.topics[output.topic], output.record
            timestamp_us = new.timestamp_us // 1_000 * 1_000  # as Kafka keeps it
            headers = dict(new.headers)
            there.append(
                Record(output.topic, 0, len(there), new.key, new.value, headers, timestamp_us)
            )

    def repeat(self, back: int) -> None:
        """Start the job again from a checkpoint: what it did since, it does again."""
        self.job.forget()
        for partition, judged in enumerate(self.judged):
            kept = max(judged - back, self.committed[partition])
            for record in self.raw[partition][:kept]:
                if record is not None:
                    self.job.outcomes(record, RAW_TOPIC)
            self.judged[partition] = kept

    # -- what a platform needs

    def cluster_id(self) -> str | None:
        return None if self.down else "cluster"

    def lake_id(self) -> None:
        """Know no lake."""

    def bounds(self) -> Mapping[str, TopicBounds] | None:
        if self.down:
            return None
        return {topic: TopicBounds(self.start(topic), len(r)) for topic, r in self.topics.items()}

    def start(self, topic: str) -> int:
        records = self.topics[topic]
        return next((n for n, record in enumerate(records) if record is not None), len(records))

    def stream(self, lost: Callable[[], None]) -> FakeStream:
        self.lost.append(lost)
        return FakeStream(self)

    def sender(self, supervisor: Supervisor) -> FakeSender:
        del supervisor
        return FakeSender(self)


class ProducingBroker(FakeBroker):
    """What is sent goes through the real producer first, to a broker in this process."""

    def sender(self, supervisor: Supervisor) -> ProducingSender:
        return ProducingSender(self, KafkaProducer(InProcess("unused:0"), supervisor=supervisor))


class InProcess(KafkaConfig):
    """The driver's own mock of a cluster."""

    def client(self, heard: Callable[[KafkaError], None], **properties: object) -> dict[str, Any]:
        return {**super().client(heard, **properties), "test.mock.num.brokers": 1}


class FakeSender:
    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker

    async def send(self, topic: str, records: Sequence[NewRecord]) -> Sequence[RecordOffset]:
        broker = self._broker
        if broker.down:
            raise UnavailableError("nobody answers")
        places = []
        for record in records:
            partition = sum(record.key or b"") % len(broker.raw)
            offset = len(broker.raw[partition])
            broker.raw[partition].append(
                Record("raw", partition, offset, record.key, record.value, record.headers,
                       record.timestamp_us)
            )  # fmt: skip
            places.append(RecordOffset(partition, offset))
        if broker.running:
            broker.work()
        return places

    def close(self) -> None:
        """There is nothing to deliver."""


class ProducingSender(FakeSender):
    def __init__(self, broker: FakeBroker, producer: KafkaProducer) -> None:
        super().__init__(broker)
        self.producer = producer

    async def send(self, topic: str, records: Sequence[NewRecord]) -> Sequence[RecordOffset]:
        await self.producer.send(topic, records)
        return await super().send(topic, records)

    def close(self) -> None:
        self.producer.close()


class FakeStream:
    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self._positions: dict[str, int] = {}
        self._paused = False

    def open(self, positions: Mapping[str, int]) -> None:
        self._positions = dict(positions)

    def poll(self) -> Sequence[Record]:
        broker = self._broker
        with broker.changed:
            broker.changed.wait_for(self._some, timeout=0.02)
            return self._take() if self._some() else ()

    def _some(self) -> bool:
        return not (self._paused or self._broker.down) and any(
            at < len(self._broker.topics[topic]) for topic, at in self._positions.items()
        )

    def _take(self) -> list[Record]:
        found: list[Record] = []
        for topic, at in self._positions.items():
            records = self._broker.topics[topic][at : at + self._broker.at_once]
            if records and records[0] is None:
                raise OffsetLostError(f"{topic} does not hold offset {at} any more")
            found += [record for record in records if record is not None]
            self._positions[topic] = at + len(records)
        return found

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def next_raw(self, place: str, offset: int, *, end: int) -> int | None:
        if self._broker.down:
            return None
        records = self._broker.raw[int(place.rpartition("/")[2])]
        there = (n for n in range(offset, min(end, len(records))) if records[n] is not None)
        return next(there, end)

    def ends(self) -> TopicEnds:
        broker = self._broker
        if broker.down:
            raise UnavailableError("nobody answers")
        return TopicEnds(
            {topic: len(records) for topic, records in broker.topics.items()},
            {f"{RAW_TOPIC}/{number}": len(raw) for number, raw in enumerate(broker.raw)},
            {f"{RAW_TOPIC}/{number}": at for number, at in enumerate(broker.committed)},
        )

    def close(self) -> None:
        """There is nothing to close."""
