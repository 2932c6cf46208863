"""What the producer of the intake costs, beside the driver's own for event loops, in one run.

uv run --frozen pytest tests/bench/test_kafka_producer.py -m bench -s
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable

import pytest
from confluent_kafka.aio import AIOProducer

from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.producer import KafkaProducer
from ingestion.kafka.topic_plan import Create
from ingestion.kafka.topics import Topic
from ingestion.log.port import RAW, NewRecord
from stack.services import Kafka

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
REQUESTS = 2_000
BATCHES, BATCH = 300, 100
Send = Callable[[list[NewRecord]], Awaitable[object]]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> object:
    with Kafka().running(tmp_path_factory.mktemp("kafka")) as kafka:
        config = KafkaConfig(kafka.bootstrap, prefix=f"bench-{secrets.token_hex(4)}")
        KafkaAdmin(config).apply([Create(Topic(config.topic_name(RAW), 3, 1))])
        yield config


async def measured(send: Send) -> dict[str, float]:
    """Return latency of one request at a time, and the CPU time of a record in many batches."""
    now_us = time.time_ns() // 1_000
    await send([NewRecord(b"k", b"warm", {"tenant": "t"}, now_us)])
    waited = []
    for number in range(REQUESTS):
        start = time.perf_counter()
        await send([NewRecord(b"%d" % number, b"x" * 300, {"tenant": "t"}, now_us)])
        waited.append(time.perf_counter() - start)
    waited.sort()
    batch = [NewRecord(b"%d" % n, b"x" * 300, {"tenant": "t"}, now_us) for n in range(BATCH)]
    start, spent = time.perf_counter(), time.process_time()
    for _ in range(BATCHES // 10):
        await asyncio.gather(*(send(batch) for _ in range(10)))
    spent, elapsed = time.process_time() - spent, time.perf_counter() - start
    return {
        "p50_ms": waited[len(waited) // 2] * 1e3,
        "p95_ms": waited[len(waited) * 95 // 100] * 1e3,
        "cpu_us": spent / (BATCHES * BATCH) * 1e6,
        "per_second": BATCHES * BATCH / elapsed,
    }


async def ours(config: KafkaConfig) -> dict[str, float]:
    producer = KafkaProducer(config)
    found = await measured(lambda records: producer.send(RAW, records))
    await asyncio.to_thread(producer.close)
    return found


async def drivers(config: KafkaConfig) -> dict[str, float]:
    properties = {"bootstrap.servers": config.bootstrap, "acks": "all", "linger.ms": 0}
    producer = AIOProducer({**properties, "enable.idempotence": True})
    topic = config.topic_name(RAW)

    async def send(records: list[NewRecord]) -> object:
        futures = [await producer.produce(topic, value=r.value, key=r.key) for r in records]
        if len(records) == 1:
            await producer.flush()
        return await asyncio.gather(*futures)

    found = await measured(send)
    await producer.close()
    return found


def test_producer(config: KafkaConfig) -> None:
    """Latency of a request and cost of a record; the driver's own carries no headers here."""
    own, driver = asyncio.run(ours(config)), asyncio.run(drivers(config))

    for name, value in own.items():
        print(f"{name:12} ours {value:10.2f}  driver {driver[name]:10.2f}")
    assert own["cpu_us"] < driver["cpu_us"]
