"""Sessions on a real cluster: what the watermark has closed is what the API folds from the log."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from agentflow.clock import to_rfc3339
from agentflow.events import Event, EventRef
from agentflow.lint import load
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.topic_plan import plan_topics
from ingestion.kafka.topics import TopicPolicy, wanted_topics
from ingestion.log.port import SESSIONS, VALIDATED
from processing.entities.folding import fold_entity
from processing.entities.sessions import sessions_of
from processing.transformations.stream import StreamGate, StreamRecord
from quality import Gate
from stack.jobs import cancel, start
from stack.probe import http_json, wait_until
from stack.services import Flink, Kafka
from tests.stack.gate import RunningGate

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(900)]

CONTRACTS = Path("contracts")
START_US = 1_767_268_800_000_000
SECOND_US = 1_000_000
OUT_OF_ORDER_US = 5 * SECOND_US
GAP_US = 1_800 * SECOND_US
USERS = 6
Key = tuple[str, str, str]


@dataclass
class Shop:
    """The job, what was sent to it, and what must come of that.

    Attributes:
        now_us: The latest event time that was sent.
    """

    job: RunningGate
    now_us: int = START_US
    sent: dict[str, Event] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    dice: random.Random = field(default_factory=lambda: random.Random(18))

    def __post_init__(self) -> None:
        self._stream = StreamGate(self.job.registry)
        self._gate = Gate(self.job.registry)

    def send(self, moments: Iterable[tuple[int, int]]) -> None:
        """Send events of users at instants, in this order; one of twenty comes twice.

        The copy comes soon: one that comes after the session has ended is late.
        """
        records: list[StreamRecord] = []
        for at_us, user in moments:
            records.append(self.record(at_us, user))
            self.now_us = max(self.now_us, at_us)
            if self.dice.random() < 0.05:
                records.append(self.dice.choice(records[-3:]))
        self.job.send(records)

    def record(self, at_us: int, user: int) -> StreamRecord:
        name = f"e{len(self.sent)}"
        kind, data = self.dice.choice(
            [
                ("page.viewed", {"session_id": name, "page": "/"}),
                ("page.clicked", {"session_id": name, "element": "buy_now"}),
                ("cart.item_added", {"session_id": name, "product_id": "P"}),
                ("order.created", {"order_id": name, "amount": "1.00", "currency": "EUR"}),
            ]
        )
        document = {
            "id": name,
            "source": "/shop",
            "type": kind,
            "time": to_rfc3339(at_us),
            "data": {**data, **({"user_id": f"U{user}"} if user else {})},
        }
        tenant = "acme" if user % 2 else "umbrella"
        headers: dict[str, bytes | None] = {
            "tenant": tenant.encode(),
            "received_us": str(max(at_us, self.now_us)).encode(),
        }
        raw = StreamRecord("raw", 0, 0, at_us, None, json.dumps(document).encode(), headers)
        answer = self._stream.output(raw)
        assert answer.topic == VALIDATED, answer
        record = answer.record
        ref = EventRef(record.headers["type"], int(record.headers["version"]))
        self.sent[name] = self._gate.decode(ref, record.value)
        return StreamRecord(
            self.job.config.topic_name(VALIDATED),
            0,
            0,
            time.time_ns() // 1_000,  # by the event's own, retention would take it at once
            record.key,
            record.value,
            {key: text.encode() for key, text in record.headers.items()},
        )

    def closed(self, *, known_late: bool = False) -> dict[Key, tuple[str, int]]:
        """Return the sessions that the watermark has passed, by the fold that the API answers."""
        events: dict[tuple[str, str], list[tuple[int, Event]]] = defaultdict(list)
        for offset, (name, event) in enumerate(self.sent.items()):
            user = getattr(event.data, "user_id", None)
            if user is not None and (known_late or name not in self.late):
                events[event.tenant, user].append((offset, event))
        visit = self.job.registry.entity("visit")
        watermark_us = self.now_us - OUT_OF_ORDER_US
        return {
            (tenant, user, to_rfc3339(session.start_us)): (
                to_rfc3339(session.end_us),
                session.events,
            )
            for (tenant, user), timeline in events.items()
            for session in sessions_of(fold_entity(visit, user, timeline))
            if session.end_us - 1_000 <= watermark_us
        }

    def published(self) -> dict[Key, tuple[str, int]]:
        """Return what the topic holds; a key that was written again has to say the same."""
        found: dict[Key, tuple[str, int]] = {}
        for record in self.job.read(SESSIONS):
            assert record.key is not None
            key, value = json.loads(record.key), json.loads(record.value)
            assert key == {"tenant": record.headers["tenant"]} | {
                name: value[name] for name in ("entity", "id", "start")
            }
            assert value["entity"] == "visit"
            said = (value["end"], value["events"])
            assert found.setdefault((key["tenant"], key["id"], key["start"]), said) == said
        return found

    def settle(self) -> None:
        """Wait until the topic has every session that is closed, and compare them."""
        wanted = self.closed()
        wait_until(lambda: self.published().keys() >= wanted.keys(), within=120)
        assert self.published() == wanted

    def late_records(self) -> int:
        """Return how many records the job has counted as too late, as Flink's metrics say."""
        url = f"{self.job.flink.url}/jobs/{self.job.job}"
        total = 0
        for vertex in (http_json(url) or {}).get("vertices", ()):
            metrics = f"{url}/vertices/{vertex['id']}/metrics"
            known = [each["id"] for each in http_json(metrics) or ()]
            names = [quote(name) for name in known if name.endswith("numLateRecordsDropped")]
            if names:
                found = http_json(f"{metrics}?get={','.join(names)}") or ()
                total += sum(int(each["value"]) for each in found)
        return total

    def checkpoints(self, what: str) -> int:
        """Return how many checkpoints of the job there were, `completed` or `restored`."""
        found = http_json(f"{self.job.flink.url}/jobs/{self.job.job}/checkpoints") or {}
        return int(found.get("counts", {}).get(what, 0))


@pytest.fixture(scope="module")
def shop(kafka: Kafka, flink: Flink) -> Iterator[Shop]:
    name = f"sessions-{uuid.uuid4().hex[:8]}"
    config = KafkaConfig(kafka.bootstrap, prefix=name)
    KafkaAdmin(config).apply(plan_topics(wanted_topics(TopicPolicy(prefix=name)), []).changes)
    named = ("--kafka-bootstrap", kafka.bootstrap, "--kafka-prefix", name)
    tuned = ("--checkpoint-interval", "0.5", "--out-of-order", "5")
    job = start("sessions", flink, CONTRACTS, *named, *tuned)
    yield Shop(RunningGate(config, load(CONTRACTS), flink, job))
    cancel(flink, job)


def walk(shop: Shop, count: int) -> list[tuple[int, int]]:
    """Return so many moments: pauses around the gap, arrivals out of order within the bound."""
    moments = []
    at_us = shop.now_us + 2 * GAP_US
    for _ in range(count):
        at_us += shop.dice.choice((1, 700, 1_200, 400_000, 900_000)) * 1_000
        at_us += shop.dice.randrange(1_000)
        moments.append((at_us, shop.dice.randrange(USERS)))
    delays = {each: shop.dice.randrange(OUT_OF_ORDER_US - 10_000) for each in moments}
    return sorted(moments, key=lambda each: each[0] + delays[each])


def much_later(shop: Shop) -> list[tuple[int, int]]:
    """Return a moment of nobody, whose time closes everything before it."""
    return [(shop.now_us + 3 * GAP_US, 0)]


def ended(shop: Shop, user: int) -> int:
    """Publish a session of one event and return its instant."""
    at_us = shop.now_us + 2 * GAP_US
    shop.send([(at_us, user)])
    shop.send(much_later(shop))
    shop.settle()
    return at_us


def too_late(shop: Shop, at_us: int, user: int) -> StreamRecord:
    """Return an event of a session that has ended."""
    shop.late.add(f"e{len(shop.sent)}")
    return shop.record(at_us + SECOND_US, user)


def test_what_the_watermark_has_closed_equals_the_fold(shop: Shop) -> None:
    """Out of order, in copies, by several users of two tenants; what is open is not told yet."""
    shop.send(walk(shop, 600))
    shop.settle()

    shop.send(much_later(shop))
    shop.settle()

    events = [events for _, events in shop.published().values()]
    assert len(events) > 50
    assert max(events) > 2


# ──●───────gap───────●──   U1: windows that touch are one session
# ──●───────gap───────┊●─   U2: a millisecond apart, they are two
def test_the_edge_of_a_gap_is_where_the_fold_has_it(shop: Shop) -> None:
    """One event more or less is a session more or less."""
    before = set(shop.published())
    at_us = shop.now_us + 2 * GAP_US

    shop.send([(at_us, 1), (at_us, 2), (at_us + GAP_US, 1), (at_us + GAP_US + 1_000, 2)])
    shop.send(much_later(shop))
    shop.settle()

    new = {key: said for key, said in shop.published().items() if key not in before}
    assert sorted((user, events) for (_, user, _), (_, events) in new.items()) == [
        ("U1", 2),
        ("U2", 1),
        ("U2", 1),
    ]


def test_a_late_event_is_counted_and_changes_nothing_that_was_published(shop: Shop) -> None:
    """The topic says what was known at the watermark; the log, and the API with it, knows more."""
    at_us = ended(shop, 3)
    before = shop.late_records()

    late = too_late(shop, at_us, 3)
    shop.job.send([late, late])
    shop.send(much_later(shop))

    assert wait_until(lambda: shop.late_records() == before + 2, within=60)
    shop.settle()
    session = ("acme", "U3", to_rfc3339(at_us - at_us % 1_000))
    assert shop.published()[session][1] == 1
    assert shop.closed(known_late=True)[session][1] == 2


def test_a_killed_taskmanager_changes_no_session(shop: Shop) -> None:
    """State, positions and watermark come back together: what is written again is the same."""
    at_us = ended(shop, 4)
    moments = walk(shop, 600)
    before = len(shop.published())
    shop.send(moments[:300])
    assert wait_until(lambda: len(shop.published()) > before + 10, within=60)
    assert wait_until(lambda: shop.checkpoints("completed") > 0, within=60)

    shop.job.flink.taskmanager.kill()
    shop.job.send([too_late(shop, at_us, 4)])
    shop.send(moments[300:])
    shop.job.flink.taskmanager.start()
    shop.job.flink.wait_ready()
    shop.send(much_later(shop))
    shop.settle()

    assert shop.checkpoints("restored") >= 1
