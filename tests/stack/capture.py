"""Two databases, Debezium and a broker, and what comes out of them as the platform counts it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from agentflow.clock import SystemClock
from agentflow.contracts import Registry
from agentflow.events import RawEvent
from ingestion.cdc import (
    Refusal,
    RowChange,
    Sources,
    TopicRecord,
    documents,
    normalise,
    of_any_age,
    tenant_of,
)
from processing.wiring import open_platform
from stack.services import Connect, Kafka, MariaDb, Postgres

PATIENCE_SECONDS = 300.0
Numbers = Mapping[object, tuple[Decimal, int]]


@dataclass
class Databases:
    """What runs; one of each."""

    kafka: Kafka
    connect: Connect
    postgres: Postgres
    mariadb: MariaDb


@dataclass
class Captured:
    """The records of some topics from their beginning, read as far as somebody waited for."""

    kafka: Kafka
    topics: Sequence[str]
    records: list[TopicRecord] = field(default_factory=list)
    _changes: list[tuple[str, RowChange]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": self.kafka.bootstrap,
                "group.id": "capture",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "allow.auto.create.topics": False,
                "topic.metadata.refresh.interval.ms": 500,
            }
        )
        self._consumer.assign([TopicPartition(topic, 0, 0) for topic in self.topics])

    def until(self, seen: Callable[[], bool]) -> None:
        """Read on until a condition on what was read holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not seen():
            assert time.monotonic() < deadline, f"{len(self.records)} records, and no end"
            for message in self._consumer.consume(500, 0.2):
                if message.error() is not None:
                    continue
                headers = message.headers() or []
                topic, key, value = message.topic(), message.key(), message.value()
                assert topic is not None
                self._take(TopicRecord(topic, key, value, headers))  # type: ignore[arg-type]

    def _take(self, record: TopicRecord) -> None:
        self.records.append(record)
        if isinstance(change := normalise(record), RowChange):
            self._changes.append((record.topic, change))

    def changes(self, topic: str | None = None) -> list[RowChange]:
        """Return the changes among them, of one topic."""
        return [change for found, change in self._changes if topic in {None, found}]

    def close(self) -> None:
        self._consumer.close()


@dataclass(frozen=True)
class Counted:
    """What the embedded platform makes of records."""

    accepted: int
    duplicates: int
    refused: Sequence[str]
    numbers: Mapping[str, Numbers]
    equal: bool


def count(
    records: Sequence[TopicRecord], registry: Registry, path: Path, *, metrics: Mapping[str, str]
) -> Counted:
    """Run records through gate, log and live engine, and compare live with the lake.

    Args:
        records: As they were captured.
        registry: The contracts.
        path: An empty directory.
        metrics: Metric → the dimension to split it by.
    """
    return asyncio.run(_count(records, registry, path, metrics))


async def _count(
    records: Sequence[TopicRecord], registry: Registry, path: Path, metrics: Mapping[str, str]
) -> Counted:
    sources = Sources(registry)
    clock = SystemClock()
    platform = open_platform(path, registry, clock=clock, lake_interval=timedelta(seconds=1))
    await platform.start()
    try:
        raws, refused = [], []
        for record in records:
            change = normalise(record)
            if not isinstance(change, RowChange):
                continue
            found = documents(change, sources)
            if isinstance(found, Refusal):
                refused.append(found.reason)
                continue
            raws += [
                RawEvent(each, tenant_of(each), clock.now_us(), of_any_age(change, sources))
                for each in found
            ]
        results = [
            result
            for first in range(0, len(raws), 500)
            for result in await platform.ingest(raws[first : first + 500])
        ]
        wrong = [each for each in results if each.status == "rejected"]
        assert wrong == [], wrong[:3]
        numbers = {
            name: {
                key[0]: (Decimal(cell.value or 0), cell.events)
                for key, cell in platform.verification.cut(
                    (name, 1), "default", window="all", by=(by,)
                ).cells.items()
                if cell.events
            }
            for name, by in metrics.items()
        }
        checks = await platform.verification.verify()
    finally:
        await platform.close()
    statuses = [each.status for each in results]
    return Counted(
        accepted=statuses.count("accepted"),
        duplicates=statuses.count("duplicate"),
        refused=refused,
        numbers=numbers,
        equal=bool(checks) and all(check.equal for check in checks),
    )
