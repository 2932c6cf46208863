"""The producer of the intake against a broker that works, hangs, and is not there."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from agentflow.errors import (
    BacklogFullError,
    RecordTooLargeError,
    TopicUnknownError,
    UnavailableError,
)
from agentflow.events import RawEvent
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.producer import Backlog, KafkaProducer
from ingestion.kafka.records import raw_record
from ingestion.kafka.topic_plan import Create
from ingestion.kafka.topics import Topic
from ingestion.log.port import RAW, NewRecord, RecordOffset
from ingestion.partitioner import partition_of
from stack.services import Kafka
from tests.ingestion.test_bus import new
from tests.stack.kafka_topics import all_records, end_of

pytestmark = pytest.mark.xdist_group("stack")
PARTITIONS = 3
Open = Callable[..., KafkaProducer]


@pytest.fixture(scope="module")
def config(kafka: Kafka) -> KafkaConfig:
    config = KafkaConfig(kafka.bootstrap, prefix=f"producer-{secrets.token_hex(4)}")
    small = {"max.message.bytes": "100000", "retention.ms": "-1"}  # records of 1970
    KafkaAdmin(config).apply(
        Create(Topic(config.topic_name(topic), PARTITIONS, 1, config=small))
        for topic in (RAW, "ordered", "small")
    )
    return config


@pytest.fixture
def opened(config: KafkaConfig) -> Iterator[Open]:
    """Open producers that are closed after the test."""
    producers: list[KafkaProducer] = []

    def opening(**options: object) -> KafkaProducer:
        producers.append(KafkaProducer(config, **options))  # type: ignore[arg-type]
        return producers[-1]

    yield opening
    for producer in producers:
        producer.close()


@contextmanager
def hanging(kafka: Kafka) -> Iterator[None]:
    """Stop the broker's process for a while, as a long pause of its machine would."""
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(kafka.pid, signal.SIGCONT)


def test_each_record_is_told_where_it_is(opened: Open, config: KafkaConfig) -> None:
    """The token of an answer is made of these places; the partition follows from the key."""
    event = RawEvent(b'{"type":"x"}', "shop", 1_767_225_600_123_456)
    records = [raw_record(event, b"ORD-%d" % number) for number in range(20)]

    places = asyncio.run(opened().send(RAW, records))

    assert [place.partition for place in places] == [
        partition_of(record.key or b"", PARTITIONS) for record in records
    ]
    found = {RecordOffset(r.partition, r.offset): r for r in all_records(config, RAW)}
    for place, record in zip(places, records, strict=True):
        stored = found[place]
        assert (stored.key, stored.value) == (record.key, event.value)
        assert stored.headers == {"tenant": "shop", "received_us": "1767225600123456"}


def test_many_requests_share_one_producer_and_keep_the_order_of_keys(
    opened: Open, config: KafkaConfig
) -> None:
    """A request returns when its own records are stored; one key's are stored as they were sent."""
    producer = opened()

    async def one(key: bytes) -> None:
        for number in range(0, 20, 2):
            batch = [new(b"%d" % number, key), new(b"%d" % (number + 1), key)]
            assert len(await producer.send("ordered", batch)) == 2

    async def all_at_once() -> None:
        await asyncio.gather(*(one(b"key %d" % number) for number in range(50)))

    asyncio.run(all_at_once())

    found = defaultdict(list)
    for record in all_records(config, "ordered"):
        found[record.key].append(record.value)
    assert len(found) == 50
    assert all(values == [b"%d" % number for number in range(20)] for values in found.values())
    assert producer.backlog == Backlog(0, 0)


def test_what_is_said_to_be_stored_is_there_in_a_topic_made_a_moment_ago(
    opened: Open, config: KafkaConfig
) -> None:
    """Seen under load: a partition not led yet refuses one record and takes the next; both acked.

    Topics did it now and then while the driver's silence about the place was not a refusal.
    """
    producer = opened()
    client = AdminClient({"bootstrap.servers": config.bootstrap})
    records = [new(b"%d" % number, b"key %d" % number) for number in range(20)]
    for number in range(30):
        topic = f"fresh_{number}"
        wanted = NewTopic(config.topic_name(topic), num_partitions=PARTITIONS)
        client.create_topics([wanted])[config.topic_name(topic)].result()
        try:
            places = asyncio.run(producer.send(topic, records))
        except UnavailableError:  # some of them may be stored: whoever sent them sends again
            continue
        stored = {RecordOffset(r.partition, r.offset): r.value for r in all_records(config, topic)}
        assert [stored[place] for place in places] == [record.value for record in records]


def test_a_topic_is_made_when_each_of_its_partitions_takes_records(
    opened: Open, config: KafkaConfig
) -> None:
    """Who makes a topic may write to it at once: none of it is refused or lost."""
    admin, producer = KafkaAdmin(config), opened()
    records = [new(b"%d" % number, b"key %d" % number) for number in range(20)]
    for number in range(20):
        topic = f"made_{number}"
        admin.apply([Create(Topic(config.topic_name(topic), PARTITIONS, 1, config={}))])
        asyncio.run(producer.send(topic, records))
        assert sum(end_of(config, topic, part) for part in range(PARTITIONS)) == len(records)


def test_sending_nothing_is_nothing(opened: Open) -> None:
    """A batch may hold no event at all."""
    assert list(asyncio.run(opened().send(RAW, []))) == []


def test_a_record_that_no_topic_takes_costs_its_neighbours_nothing(opened: Open) -> None:
    """It is refused before anything is sent, so that the caller can leave it out."""
    producer = opened(max_message_bytes=1_000)

    with pytest.raises(RecordTooLargeError, match="2002 bytes is larger than 1000"):
        asyncio.run(producer.send(RAW, [new(b"a"), new(b"x" * 2_000)]))

    assert producer.backlog == Backlog(0, 0)


def test_a_record_larger_than_the_topic_takes_is_told_so(opened: Open) -> None:
    """The broker's limit may be below ours: the topic was not made by `topics apply`."""
    with pytest.raises(RecordTooLargeError, match="larger than kafka takes") as refused:
        asyncio.run(opened().send("small", [new(b"x" * 200_000)]))

    assert "AGENTFLOW_KAFKA_MAX_MESSAGE_BYTES" in str(refused.value.hint)


def test_a_topic_that_nobody_made_is_told_with_its_fix(opened: Open) -> None:
    """Topics are never made by use: they would have the broker's defaults."""
    with pytest.raises(TopicUnknownError) as refused:
        asyncio.run(opened().send("nobody_made_it", [new()]))

    assert "agentflow topics apply" in str(refused.value.hint)


async def stored(producer: KafkaProducer, record: NewRecord) -> RecordOffset:
    """Send until the broker takes it: a machine under load may need more than one delivery."""
    while True:
        try:
            (place,) = await producer.send(RAW, [record])
        except UnavailableError:
            continue
        return place


def test_a_broker_that_hangs_is_unavailable_and_then_goes_on(opened: Open, kafka: Kafka) -> None:
    """Bounded wait, a visible backlog, and no restart of ours when it comes back."""
    producer = opened(delivery_timeout=timedelta(seconds=1))
    before = asyncio.run(asyncio.wait_for(stored(producer, new(b"before", b"k")), 60))

    async def during() -> Backlog:
        sending = asyncio.create_task(producer.send(RAW, [new(b"during", b"k")]))
        await asyncio.sleep(0)
        seen = producer.backlog
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await sending
        return seen

    with hanging(kafka):
        assert asyncio.run(during()).records == 1
    assert producer.backlog == Backlog(0, 0)

    after = asyncio.run(asyncio.wait_for(stored(producer, new(b"after", b"k")), 60))
    assert after.offset > before.offset


def test_a_full_backlog_is_refused_at_once(opened: Open, kafka: Kafka) -> None:
    """Memory is bounded: whoever sends is told to slow down, and nothing of it is taken."""
    producer = opened(capacity_records=10, delivery_timeout=timedelta(seconds=1))

    async def during() -> None:
        sending = [asyncio.create_task(producer.send(RAW, [new()] * 5)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(BacklogFullError, match="10 records already wait"):
            await producer.send(RAW, [new()])
        assert producer.backlog.records == 10
        await asyncio.gather(*sending, return_exceptions=True)

    with hanging(kafka):
        asyncio.run(during())

    assert producer.backlog == Backlog(0, 0)


def test_a_request_that_gave_up_disturbs_nobody(opened: Open) -> None:
    """Its client went away: the records are stored, and the next request is answered."""
    producer = opened()

    async def requests() -> RecordOffset:
        gone = asyncio.create_task(producer.send(RAW, [NewRecord(b"k", b"gone", {}, 1_000)]))
        await asyncio.sleep(0)
        gone.cancel()
        (place,) = await producer.send(RAW, [NewRecord(b"k", b"next", {}, 1_000)])
        return place

    place = asyncio.run(requests())

    assert place.offset > 0
    assert producer.backlog == Backlog(0, 0)


def test_a_closed_producer_delivers_and_takes_nothing_more(config: KafkaConfig) -> None:
    """What was taken before the process stops is stored."""
    producer = KafkaProducer(config)

    async def stopping() -> int:
        sending = asyncio.create_task(producer.send(RAW, [new(b"last")]))
        await asyncio.sleep(0)
        await asyncio.to_thread(producer.close)
        with pytest.raises(UnavailableError, match="closed"):
            await producer.send(RAW, [new()])
        return len(await sending)

    assert asyncio.run(stopping()) == 1
