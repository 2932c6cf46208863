"""The shop's events in Kafka, what the lake must hold of them, and the lake as it is."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer

from agentflow.contracts import Registry
from agentflow.events import Event, EventRef, RawEvent
from agentflow.events.identity import identity_key
from ingestion.generate.generator import Profile
from ingestion.generate.load import read_scenario
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.topic_plan import Create
from ingestion.kafka.topics import TopicPolicy, wanted_topics
from ingestion.log.port import Batch, Reject
from processing.lake import LakeReader, Location, Progressed
from processing.lake.catalog import DEAD_LETTER_TABLE, Lake, LakeTableName
from processing.lake.remote import open_remote_lake
from processing.transformations import Router
from quality import Gate
from stack.jobs import start
from stack.probe import wait_until
from stack.services import Flink, IcebergRest, Kafka
from tests.fakes.memory_log import MemoryLog

Stored = list[tuple[int, Event]]
START_US = 1_767_268_800_000_000
CONTRACTS = Path("contracts")


@dataclass
class Ledger:
    """What was sent, in offsets: every record counts, an identity only at its first one."""

    events: dict[int, Event] = field(default_factory=dict)
    identities: set[bytes] = field(default_factory=set)
    validated_end: int = 0
    letters: set[int] = field(default_factory=set)
    letters_end: int = 0

    def accept(self, event: Event) -> None:
        identity = identity_key(event.tenant, event.source, event.id)
        if identity not in self.identities:
            self.identities.add(identity)
            self.events[self.validated_end] = event
        self.validated_end += 1

    def before(self, offset: int) -> list[tuple[int, Event]]:
        return sorted((key, event) for key, event in self.events.items() if key < offset)


class Feed:
    """Judges the generator's events and sends what the hot job would; some of it twice."""

    def __init__(
        self, kafka: Kafka, registry: Registry, *, prefix: str, seed: int, keep: bool = True
    ) -> None:
        """Make its topics; *keep* what is sent, to compare with, or only count it."""
        policy = TopicPolicy(prefix=prefix, raw_partitions=1)
        admin = KafkaAdmin(KafkaConfig(kafka.bootstrap, prefix=prefix))
        admin.apply([Create(topic) for topic in wanted_topics(policy)])
        self._keep = keep
        self.ledger = Ledger()
        self.log = MemoryLog()
        self.gate = Gate(registry)
        self._router = Router(registry, self.gate)
        world = read_scenario(CONTRACTS, registry)
        profile = Profile(rate=200, duplicate=0)
        self._events = world.generator(seed=seed, start_us=START_US, profile=profile).events()
        self._dice = random.Random(seed)
        self._prefix = prefix
        self._producer = Producer(
            {"bootstrap.servers": kafka.bootstrap, "linger.ms": 5, "enable.idempotence": True}
        )
        self._recent: list[tuple[EventRef, bytes, Event]] = []

    def send(self, count: int) -> None:
        """Send *count* of the generator's events and wait until the broker has them."""
        for _ in range(count):
            generated = next(self._events)
            raw = RawEvent(generated.value, "default", generated.due_us)
            routed = self._router.route(raw, self.gate.judge(raw))
            if self._keep:
                self.log.commit(Batch([raw], [routed]))
            if isinstance(routed, Reject):
                self._letter(routed)
                continue
            event = routed.event
            assert event is not None
            self._accepted(event.ref, routed.value, event)
            if not self._keep:
                continue
            self._recent.append((event.ref, routed.value, event))
            if self._dice.random() < 0.02:
                self._accepted(*self._dice.choice(self._recent[-500:]))
        assert self._producer.flush(60) == 0

    def _accepted(self, ref: EventRef, value: bytes, event: Event) -> None:
        headers = [("type", ref.type.encode()), ("version", str(ref.version).encode())]
        self._produce("validated", value, headers)
        if self._keep:
            self.ledger.accept(event)
        else:
            self.ledger.validated_end += 1

    def _letter(self, refused: Reject) -> None:
        offset = str(self.ledger.letters_end).encode()
        headers = [("tenant", refused.tenant.encode()), ("reason", refused.reason.encode())]
        self._produce("dead_letters", refused.detail, [*headers, ("raw_offset", offset)])
        self.ledger.letters.add(self.ledger.letters_end)
        self.ledger.letters_end += 1

    def _produce(self, topic: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        self._producer.produce(
            f"{self._prefix}.{topic}", value, headers=headers, partition=0, on_delivery=_delivered
        )
        self._producer.poll(0)


def _delivered(error: KafkaError | None, message: Message) -> None:
    assert error is None, f"{message.topic()}: {error}"


def located(rest: IcebergRest) -> Location:
    return Location(
        catalog=rest.uri,
        warehouse=rest.warehouse,
        endpoint=rest.s3.endpoint,
        access_key=rest.s3.access_key,
        secret_key=rest.s3.secret_key,
    )


def start_lake_job(
    flink: Flink,
    kafka: Kafka,
    rest: IcebergRest,
    *,
    prefix: str,
    checkpoint_seconds: float,
    since: str | None = None,
) -> str:
    """Submit the job from the wheel's command line and return its id."""
    named = ("--kafka-bootstrap", kafka.bootstrap, "--kafka-prefix", prefix)
    options = [*named, "--checkpoint-interval", str(checkpoint_seconds)]
    if since is not None:
        options += ["--from-checkpoint", since]
    return start("lake", flink, CONTRACTS, *options, settings=rest.platform_settings)


def opened(location: Location, registry: Registry, cache: Path) -> Lake:
    return open_remote_lake(location, registry, cache=cache, coverage=Progressed())


def require_honest(reader: LakeReader, ledger: Ledger) -> int:
    """Read the lake as it is now: all before the offset it names is there, once, and equal."""
    covered = reader.positions().validated
    found = [(stored.offset, stored.event) for stored in reader.all_events(up_to=covered)]
    wanted = ledger.before(covered)
    assert found == wanted, f"the lake claims {covered}: {_difference(found, wanted)}"
    return covered


def _difference(found: Stored, wanted: Stored) -> str:
    """Name what is missing, too much and changed: the first of each."""
    there, expected = dict(found), dict(wanted)
    changed = [n for n in there.keys() & expected.keys() if there[n] != expected[n]]
    parts = [
        f"{len(found)} rows for {len(wanted)}",
        f"missing {sorted(expected.keys() - there.keys())[:9]}",
        f"too much {sorted(there.keys() - expected.keys())[:9]}",
        f"changed {sorted(changed)[:9]}",
    ]
    parts += [f"{there[n]!r} for {expected[n]!r}" for n in sorted(changed)[:1]]
    return "; ".join(parts)


def everything(lake: Lake) -> list[int]:
    """Return the offset of every row of events as it is stored, whatever readers make of it."""
    return sorted(offset for ref in lake.layouts for offset in _offsets(lake, lake.name(ref)))


def letters(lake: Lake) -> list[int]:
    """Return the same of dead letters."""
    return sorted(_offsets(lake, DEAD_LETTER_TABLE))


def _offsets(lake: Lake, name: LakeTableName) -> list[int]:
    rows = lake.fresh(name).scan(selected_fields=("log_offset",)).to_arrow()
    return list(rows.column("log_offset").to_pylist())


def until(condition: Callable[[], bool], *, within: float) -> None:
    """Wait for what costs a look at the whole lake."""
    assert wait_until(condition, within=within, every=0.2), "not in time"
