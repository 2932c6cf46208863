"""The gate on Flink: how much it can take, and from a produced record to the validated topic.

Throughput is beside a plain Python consumer that does the same work over the same records in the
same run; what both share is the broker on the same machine. Flink's own profiler says where the
task manager's time goes. Latency is taken on the same job once it is through, because Java has to
compile it first: one process notes when it hands a record over, and when its answer arrives.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from math import inf
from pathlib import Path
from threading import Event, Thread

import psutil
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from agentflow.lint import load
from ingestion.generate import Generated
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.topic_plan import plan_topics
from ingestion.kafka.topics import TopicPolicy, wanted_topics
from ingestion.log.port import DEAD_LETTERS, DUPLICATES, RAW, VALIDATED
from processing.transformations.stream import StreamGate, StreamRecord, receipt
from stack.jobs import cancel, install_wheel, start
from stack.probe import wait_until
from stack.services import Flink, Kafka
from stack.services.flink_settings import Memory
from tests.bench.figures import Figure, percentile
from tests.bench.machine import load_average
from tests.bench.stream.profile import PROFILING, Profiler
from tests.bench.world import CONTRACTS, SCRATCH, now_us, shop, stream

RATES = (200, 1_000)
MEASURED_SECONDS = 30.0
EVENTS = 600_000
GOALS_MS = {"p50": 10.0, "p95": 50.0, "p99": 200.0}
THROUGHPUT_GOAL = 60_000
HEAP_MB = 2_048
"""Half a million identities on the heap; with less, collecting garbage is what is measured."""
FRAMES = {
    "python": "pemja/core/PythonInterpreter.invokeMethod",
    "compiler": "CompileBroker::",
    "garbage": "GenCollectedHeap::do_collection",
    "kafka_producer": "org/apache/kafka/clients/producer/internals/Sender.run",
    "kafka_consumer": "SplitFetcher.run",
    "checkpoint": "AsyncCheckpointRunnable.run",
    "deduplicate_and_write": "ProcTimeUnboundedPrecedingFunction.processElement",
}
"""What the profile is summed up by: frames that do not contain each other."""
_ANSWERS = (VALIDATED, DEAD_LETTERS, DUPLICATES)
_SETTLES_WITHIN = 300.0


def measure(scale: float) -> Iterable[Figure]:
    """Start a broker and a cluster, and measure on them."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as directory:
        place = Path(directory)
        workers = Flink(
            memory=Memory(task_heap_mb=HEAP_MB),
            pythonpath=(install_wheel(place / "platform"),),
            options=PROFILING,
            without_c2=False,
        )
        broker = Kafka(without_c2=False)
        with broker.running(place / "kafka") as kafka, workers.running(place / "flink") as flink:
            yield from measured(kafka, flink, scale)


def measured(kafka: Kafka, flink: Flink, scale: float) -> Iterable[Figure]:
    """Measure on services that run."""
    config = _topics(kafka)
    count = max(int(EVENTS * scale), 2_000)
    _fill(config, _events(count, 10_000))
    plain = _plain_consumer(config, count)
    cpu = _cpu_seconds(flink)
    named = ("--kafka-bootstrap", config.bootstrap, "--kafka-prefix", config.prefix)
    job = start("gate", flink, CONTRACTS, *named)
    yield _throughput(config, flink, count, plain, cpu)
    for rate in RATES:
        found = _latencies(config, rate=rate, seconds=max(MEASURED_SECONDS * scale, 1_000 / rate))
        context = {"events": float(len(found)), "load": load_average()}
        for name, goal in GOALS_MS.items():
            value = percentile(found, float(name[1:]) / 100)
            title = f"Kafka → Flink → validated, {rate:,} events/s, {name}"
            yield Figure(title, value, goal, "ms", "at_most", context)
    cancel(flink, job)


def _topics(kafka: Kafka) -> KafkaConfig:
    config = KafkaConfig(kafka.bootstrap, prefix=f"bench-{uuid.uuid4().hex[:8]}")
    policy = TopicPolicy(prefix=config.prefix, raw_partitions=1)
    KafkaAdmin(config).apply(plan_topics(wanted_topics(policy), []).changes)
    return config


def _events(count: int, rate: float) -> Sequence[Generated]:
    return list(islice(stream(shop(), count, rate=rate, start_us=now_us()), count))


def _latencies(config: KafkaConfig, *, rate: int, seconds: float) -> list[float]:
    """Return the milliseconds of each event; infinite for what never arrived."""
    sent: dict[int, int] = {}
    arrived: dict[int, int] = {}
    stop = Event()
    readers = [Thread(target=_note, args=(config, topic, arrived, stop)) for topic in _ANSWERS]
    for reader in readers:
        reader.start()
    _produce_paced(config, _events(max(int(rate * seconds), 1), rate), rate, sent)
    wait_until(lambda: sent.keys() <= arrived.keys(), within=_SETTLES_WITHIN)
    stop.set()
    for reader in readers:
        reader.join()
    return [
        (arrived[offset] - at_ns) / 1e6 if offset in arrived else inf
        for offset, at_ns in sent.items()
    ]


def _note(config: KafkaConfig, topic: str, arrived: dict[int, int], stop: Event) -> None:
    """Write down when each answer arrives, by the raw offset it is for."""
    consumer = _consumer(config)
    name = config.topic_name(topic)
    consumer.assign([TopicPartition(name, 0, _end(consumer, name))])
    while not stop.is_set():
        message = consumer.poll(0.1)
        if message is None or message.error():
            continue
        now = time.perf_counter_ns()
        headers = dict(message.headers() or ())
        arrived.setdefault(int(headers["raw_offset"] or 0), now)
    consumer.close()


def _consumer(config: KafkaConfig) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": config.bootstrap,
            "group.id": "bench",
            "enable.auto.commit": False,
        }
    )


def _end(consumer: Consumer, topic: str) -> int:
    place = TopicPartition(topic, 0)
    return int(consumer.get_watermark_offsets(place, timeout=30, cached=False)[1])


def _produce_paced(
    config: KafkaConfig, events: Sequence[Generated], rate: int, sent: dict[int, int]
) -> None:
    producer = Producer({"bootstrap.servers": config.bootstrap, "linger.ms": 0, "acks": "all"})
    topic = config.topic_name(RAW)
    producer.list_topics(topic, timeout=30)
    begun = time.perf_counter_ns()
    for number, event in enumerate(events):
        due = begun + number * 1_000_000_000 // rate
        if (left := due - time.perf_counter_ns()) > 0:
            time.sleep(left / 1e9)

        def delivered(
            error: KafkaError | None, message: Message, at: int = time.perf_counter_ns()
        ) -> None:
            sent[(message.offset() or 0) if error is None else -1] = at

        producer.produce(topic, event.value, partition=0, on_delivery=delivered)
        producer.poll(0)
    producer.flush(60)


def _throughput(
    config: KafkaConfig, flink: Flink, count: int, plain: float, cpu_before: float
) -> Figure:
    """Let the job work off the records, and look at where its time goes half-way."""
    profiler = Profiler(flink)
    rate, settled = _drained(config, count, halfway=profiler.start)
    spent = (_cpu_seconds(flink) - cpu_before) / max(settled, 1)
    context = {
        "events": float(count),
        "plain_consumer": plain,
        "of_plain_consumer": rate / plain,
        "cpu_us_per_event": spent * 1e6,
        **{f"share_{name}": share for name, share in profiler.shares(FRAMES).items()},
        "load": load_average(),
    }
    return Figure("Flink gate, sustained", rate, THROUGHPUT_GOAL, "events/s", "at_least", context)


def _fill(config: KafkaConfig, events: Sequence[Generated]) -> None:
    producer = Producer(
        {
            "bootstrap.servers": config.bootstrap,
            "linger.ms": 20,
            "queue.buffering.max.messages": len(events) + 1,
        }
    )
    topic = config.topic_name(RAW)
    for event in events:
        headers: list[tuple[str, str | bytes | None]] = [("tenant", b"default")]
        producer.produce(topic, event.value, partition=0, headers=headers)
        producer.poll(0)
    producer.flush(120)


def _drained(config: KafkaConfig, count: int, *, halfway: Callable[[], None]) -> tuple[float, int]:
    """Return the rate between half and nine tenths of the records, and how many are done.

    The first half is the start of the job, and Java being compiled.
    """
    consumer = _consumer(config)
    first, last = int(count * 0.5), int(count * 0.9)
    at: dict[int, tuple[float, int]] = {}
    done = 0

    def settled() -> bool:
        nonlocal done
        done = sum(_end(consumer, config.topic_name(topic)) for topic in _ANSWERS)
        for mark in (first, last):
            if done >= mark and mark not in at:
                at[mark] = (time.perf_counter(), done)
                if mark == first:
                    halfway()
        return done >= count

    wait_until(settled, within=_SETTLES_WITHIN)
    consumer.close()
    if len(at) < 2:
        return 0.0, done
    (begun, before), (ended, after) = at[first], at[last]
    return (after - before) / max(ended - begun, 1e-9), done


def _plain_consumer(config: KafkaConfig, count: int) -> float:
    """Return the rate of a loop in Python: consume, judge, deduplicate, produce."""
    gate, seen = StreamGate(load(CONTRACTS)), set[bytes]()
    consumer = _consumer(config)
    producer = Producer(
        {"bootstrap.servers": config.bootstrap, "queue.buffering.max.messages": count + 1}
    )
    topic, sink = config.topic_name(RAW), f"{config.prefix}.plain"
    KafkaAdmin(config).apply(
        plan_topics(wanted_topics(TopicPolicy(prefix=sink, raw_partitions=1)), []).changes
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    done, begun = 0, time.perf_counter()
    while done < count:
        for message in consumer.consume(1_000, 0.5):
            done += 1
            output = gate.output(_record(message, topic))
            record = output.record
            if output.identity in seen:
                record = receipt(output)
            elif output.identity is not None:
                seen.add(output.identity)
            target = f"{sink}.{output.topic}"
            producer.produce(target, record.value, record.key, headers=dict(record.headers))
        producer.poll(0)
    producer.flush(120)
    consumer.close()
    return count / (time.perf_counter() - begun)


def _record(message: Message, topic: str) -> StreamRecord:
    value = message.value()
    return StreamRecord(
        topic,
        0,
        message.offset() or 0,
        message.timestamp()[1] * 1_000,
        None,
        value if isinstance(value, bytes) else None,
        {name: each for name, each in message.headers() or () if not isinstance(each, str)},
    )


def _cpu_seconds(flink: Flink) -> float:
    times = psutil.Process(flink.taskmanager.pid).cpu_times()
    return times.user + times.system
