"""A gate running on the cluster, and what a test wants to know of it."""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer

from agentflow.contracts import Registry
from agentflow.lint import load
from ingestion.cdc import Sources, TopicRecord
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.topic_plan import plan_topics
from ingestion.kafka.topics import RETENTION, TIMESTAMPS, Topic, TopicPolicy, wanted_topics
from ingestion.log.port import DEAD_LETTERS, DUPLICATES, VALIDATED
from ingestion.log.port import Record as LogRecord
from processing.transformations.stream import StreamRecord
from stack.jobs import start
from stack.probe import wait_until
from stack.services import Flink, Kafka
from tests.ingestion.cdc.packs import write_pack
from tests.stack.kafka_topics import records_in

ANSWERED = (VALIDATED, DEAD_LETTERS, DUPLICATES)
Place = tuple[str, str, str]


@dataclass(frozen=True)
class RunningGate:
    """Topics and a job of one test module."""

    config: KafkaConfig
    registry: Registry
    flink: Flink
    job: str
    seen: dict[str, list[LogRecord]] = field(default_factory=dict, repr=False)
    _answers: dict[Place, list[tuple[str, LogRecord]]] = field(default_factory=dict, repr=False)
    _placed: Counter[str] = field(default_factory=Counter, repr=False)

    @property
    def raw(self) -> str:
        return self.config.topic_name("raw")

    @property
    def changes(self) -> str:
        return next(each for each in Sources(self.registry).topics if each.startswith("s"))

    def send(self, records: Iterable[StreamRecord]) -> None:
        """Produce records where they say they are, and wait until the broker has them."""
        producer = Producer(
            {
                "bootstrap.servers": self.config.bootstrap,
                "message.max.bytes": 8_388_608,
                "linger.ms": 5,
                "enable.idempotence": True,
            }
        )
        for record in records:
            producer.produce(
                record.topic,
                record.value,
                record.key,
                record.partition,
                timestamp=record.timestamp_us // 1000,
                headers=list(record.headers.items()),
                on_delivery=_delivered,
            )
            producer.poll(0)
        assert producer.flush(120) == 0

    def read(self, topic: str) -> Sequence[LogRecord]:
        """Return everything a topic holds now; what was read before is not read again."""
        found = self.seen.setdefault(topic, [])
        found += records_in(self.config, topic, start=len(found))
        return found

    def answers(self) -> dict[Place, list[tuple[str, LogRecord]]]:
        """Return what answers for each raw record, with its topic."""
        for topic in ANSWERED:
            records = self.read(topic)
            for record in records[self._placed[topic] :]:
                self._answers.setdefault(place_of(record), []).append((topic, record))
            self._placed[topic] = len(records)
        return self._answers

    def answered(self, raw_topic: str, count: int, *, within: float = 240) -> None:
        """Wait until the offsets before *count* of partition 0 are all answered for."""
        wanted = {(raw_topic, "0", str(offset)) for offset in range(count)}
        assert wait_until(lambda: wanted <= self.answers().keys(), within=within), (
            f"{len(wanted - self.answers().keys())} of {count} are not answered for"
        )


def _delivered(error: KafkaError | None, message: Message) -> None:
    assert error is None, f"{message.topic()}: {error}"


def place_of(record: LogRecord) -> Place:
    """Return where in the raw topics the record comes from."""
    headers = record.headers
    return headers["raw_topic"], headers["raw_partition"], headers["raw_offset"]


def change_record(record: TopicRecord, offset: int, at_us: int) -> StreamRecord:
    """Return a Debezium record as the stream has it."""
    return StreamRecord(
        record.topic, 0, offset, at_us, record.key, record.value, dict(record.headers)
    )


def launch(kafka: Kafka, flink: Flink, contracts: Path, directory: Path) -> RunningGate:
    """Create topics, add a table's source to the contracts, and start the job."""
    name = f"gate-{uuid.uuid4().hex[:8]}"
    config = KafkaConfig(kafka.bootstrap, prefix=name)
    shutil.copytree(contracts, directory)
    write_pack(directory)
    (directory / "sources" / "m.yaml").unlink()
    source = directory / "sources" / "s.yaml"
    unique = f"s{uuid.uuid4().hex[:8]}"
    text = source.read_text().replace("name: s.t\n", f"name: {unique}.t\n")
    source.write_text(text.replace("server: s\n", f"server: {unique}\n"))
    wanted = wanted_topics(TopicPolicy(prefix=name, raw_partitions=1))
    # The corpus says when each record was stored: a broker that says so itself cannot repeat it,
    # and one that keeps a week of it takes it away.
    as_said = {TIMESTAMPS: "CreateTime", RETENTION: "-1"}
    fixed = [replace(each, config={**each.config, **as_said}) for each in wanted]
    table = Topic(f"{unique}.d.t", 1, 1, config=as_said)
    KafkaAdmin(config).apply(plan_topics([*fixed, table], []).changes)
    named = ("--kafka-bootstrap", kafka.bootstrap, "--kafka-prefix", name)
    job = start("gate", flink, directory, *named, "--checkpoint-interval", "0.5")
    return RunningGate(config, load(directory), flink, job)
