"""Serving from a real broker: read your events; kills, a broker that dies, too much at once."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agentflow.contracts import Registry
from agentflow.lint import load
from agentflow_cli import main
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.topic_plan import Create
from ingestion.kafka.topics import TopicPolicy, wanted_topics
from stack.services import IcebergRest, Kafka
from tests.chaos.servers import Answer, Client, Nursery, Server, until
from tests.fakes.plain_gate import PlainGate

pytestmark = pytest.mark.xdist_group("stack")

ROOT = Path(__file__).parents[2]
PARTITIONS = 3
Json = dict[str, Any]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load(ROOT / "contracts")


class Stage:
    """Topics of its own, a job between them, and platforms that serve from them."""

    def __init__(self, kafka: Kafka, nursery: Nursery, registry: Registry, folder: Path) -> None:
        prefix = f"serve-{secrets.token_hex(4)}"
        self.kafka = kafka
        self.folder = folder
        self._nursery = nursery
        self._lives: list[Server] = []
        config = KafkaConfig(kafka.bootstrap, prefix=prefix)
        policy = TopicPolicy(prefix=prefix, raw_partitions=PARTITIONS)
        admin = KafkaAdmin(config)
        admin.apply([Create(topic) for topic in wanted_topics(policy)], done=lambda _: None)
        self.gate = PlainGate(config, registry, partitions=PARTITIONS)
        self.environment = {
            "AGENTFLOW_BUS": "kafka",
            "AGENTFLOW_KAFKA_BOOTSTRAP": kafka.bootstrap,
            "AGENTFLOW_KAFKA_PREFIX": prefix,
            "AGENTFLOW_KAFKA_TIMEOUT_SECONDS": "2",
            "AGENTFLOW_KAFKA_DELIVERY_TIMEOUT_SECONDS": "4",
        }

    def start(self, name: str = "data", **more: str) -> Server:
        environment = {**self.environment, **more}
        server = self._nursery.start(self.folder / name, environment=environment)
        self._lives.append(server)
        return server.ready()

    def report(self) -> None:
        """Print how each life ended and what it said last: shown when a test fails."""
        for server in self._lives:
            print(f"exit code {server.exit_code}; the end of its log:\n{server.log[-6_000:]}")


@pytest.fixture
def stage(kafka: Kafka, nursery: Nursery, registry: Registry, tmp_path: Path) -> Iterator[Stage]:
    found = Stage(kafka, nursery, registry, tmp_path)
    yield found
    found.report()
    found.gate.close()


class Patient(Client):
    """A client that opens its connection again when the server closed it for being idle."""

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        try:
            return super().ask(method, path, body, headers)
        except OSError:
            return super().ask(method, path, body, headers)


def client_of(server: Server) -> Client:
    return Patient(server.url, seconds=60)


def order(number: int) -> Json:
    return {
        "specversion": "1.0",
        "id": f"o{number}",
        "source": "/shop",
        "type": "order.created",
        "data": {
            "order_id": f"o{number}",
            "amount": "10.00",
            "currency": "EUR",
            "country": "DE",
        },
    }


def orders(client: Client, numbers: Sequence[int]) -> Json:
    answer = client.post("/v1/events", [order(number) for number in numbers])
    assert answer.status in {200, 207}, answer.body
    return answer.json


def metric(client: Client, token: str | None = None, *, wait: int = 20) -> Answer:
    query = "window=all" + (f"&at_least={token}" if token else "")
    return client.get(f"/v1/metrics/order_count?{query}", prefer=f"wait={wait}")


def count(client: Client, token: str | None = None) -> object:
    answer = metric(client, token)
    assert answer.status == 200, answer.body
    return answer.json["value"]


def health(client: Client) -> Json:
    return client.get("/v1/health").json


def test_events_are_read_by_their_token_on_every_replica_and_after_a_kill(stage: Stage) -> None:
    """Each answer to a token includes its events, and nothing counts twice, whoever is killed."""
    one, two = stage.start("one"), stage.start("two")
    first, second = client_of(one), client_of(two)
    sent = 0
    milliseconds = []
    for number in range(40):
        writer, reader = (first, second) if number % 2 else (second, first)
        started = time.perf_counter()
        answer = orders(writer, [sent, sent + 1, max(sent - 1, 0)])
        sent += 2
        assert count(reader, answer["token"]) == sent
        milliseconds.append((time.perf_counter() - started) * 1_000)
    bad = first.post("/v1/events", b"not json")
    assert bad.status == 422
    assert count(second, bad.json["token"]) == sent
    assert len(second.get("/v1/deadletter").json["dead_letters"]) == 1

    for _ in range(3):
        token = orders(first, [sent, sent + 1])["token"]
        sent += 2
        one.kill()
        one = stage.start("one")
        first = client_of(one)
        assert count(first, token) == sent
    found = [count(client) for client in (first, second)]
    assert found == [sent, sent]
    until(lambda: health(first)["stream"]["unread"] == 0, seconds=10, what="reading all there is")
    assert (health(first)["stream"]["connected"], health(first)["stream"]["unreadable"]) == (
        True,
        0,
    )
    print(f"write, then read by token: median {sorted(milliseconds)[20]:.1f} ms")
    hops = first.get("/v1/lineage/event/o0?source=/shop").json["hops"]
    assert [hop["hop"] for hop in hops][:3] == ["received", "raw", "validated"]
    assert hops[1]["topic"].startswith(stage.environment["AGENTFLOW_KAFKA_PREFIX"])


def test_a_broker_that_dies_leaves_stale_answers_and_comes_back_without_loss(
    stage: Stage,
) -> None:
    """Promise 9: it keeps answering, honestly, and catches up by itself."""
    server = stage.start()
    client = client_of(server)
    assert count(client, orders(client, range(50))["token"]) == 50
    until(lambda: metric(client).json["status"] == "fresh", seconds=10, what="fresh")

    stage.kafka.kill()
    try:
        until(lambda: metric(client).json["status"] == "stale", seconds=10, what="stale")
        assert count(client) == 50
        assert health(client)["components"]["stream"]["status"] == "degraded"
        assert "kafka" in doctor(stage)
        refused = client.post("/v1/events", order(50), idempotency_key="k50")
        assert (refused.status, refused.json["code"]) == (503, "unavailable")
        server.kill()
        server = stage.start()
        client = client_of(server)
        assert (count(client), metric(client).json["status"]) == (50, "stale")
    finally:
        stage.kafka.restart()
    taken = until(lambda: _taken(client), seconds=30, what="an event taken")
    assert isinstance(taken, dict)
    assert count(client, taken["token"]) == 51
    until(lambda: metric(client).json["status"] == "fresh", seconds=10, what="fresh again")
    assert count(client, orders(client, range(60))["token"]) == 60


def test_a_catalog_that_is_down_at_the_start_is_said_and_got_over(
    stage: Stage, iceberg_rest: IcebergRest
) -> None:
    """Numbers come from the replica; only what needs the lake waits for it."""
    lake = iceberg_rest.platform_settings
    server = stage.start(**lake)
    client = client_of(server)
    assert count(client, orders(client, range(20))["token"]) == 20
    server.kill()
    iceberg_rest.kill()
    try:
        client = client_of(stage.start(**lake))

        assert count(client, orders(client, range(30))["token"]) == 30
        found = health(client)["components"]["lake"]
        assert (found["status"], "catalog does not answer" in found["detail"]) == ("failing", True)
    finally:
        iceberg_rest.restart()
    until(lambda: health(client)["components"]["lake"]["status"] == "ok", seconds=30, what="a lake")


def doctor(stage: Stage) -> list[str]:
    """Return what `agentflow doctor` finds to be a problem."""
    chosen = {**stage.environment, "AGENTFLOW_URL": "http://127.0.0.1:1"}
    found = CliRunner().invoke(
        main, ["doctor", "--json", "--data-dir", str(stage.folder)], env=chosen
    )
    return [item["name"] for item in json.loads(found.stdout) if item["status"] == "problem"]


def _taken(client: Client) -> Json | None:
    answer = client.post("/v1/events", order(50), idempotency_key="k50")
    return answer.json if answer.status == 200 else None


def test_more_than_the_stream_takes_is_asked_to_come_back(stage: Stage) -> None:
    """Far more than the job can do: refused with a time, nothing lost, memory bounded."""
    stage.gate.per_second = 200
    server = stage.start(AGENTFLOW_BACKLOG_EVENTS="1000")
    client = client_of(server)
    sent, refused, waits, token = 0, 0, set[int](), ""
    memory = resident_bytes(server.pid)
    for _ in range(60):
        answer = client.post("/v1/events", [order(n) for n in range(sent, sent + 100)])
        if answer.status == 429:
            refused += 1
            waits.add(int(answer.headers["retry-after"]))
            assert answer.json["code"] == "backlog_full"
        else:
            sent, token = sent + 100, answer.json["token"]
        time.sleep(1 / 30)  # 15 times what the job can do, on a machine that has nothing else
    assert refused > 0
    assert max(waits) <= 60
    behind = health(client)["stream"]["events"]
    assert behind <= 1_000 + 100
    started = time.monotonic()

    assert count(client, token) == sent
    grown = resident_bytes(server.pid) - memory
    print(f"{sent} taken, {refused} requests refused, recovered in "
          f"{time.monotonic() - started:.1f} s, {grown >> 20} MiB more")  # fmt: skip
    assert grown < 256 << 20
    text = client.get("/metrics").body.decode()
    assert "agentflow_processing_stream_lag_seconds" in text


def resident_bytes(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * 4_096


def test_an_offset_that_does_not_exist_holds_nobody_up(stage: Stage) -> None:
    """A producer's transaction leaves marks in raw; tokens behind them are reached all the same."""
    from confluent_kafka import Producer

    server = stage.start()
    client = client_of(server)
    prefix = stage.environment["AGENTFLOW_KAFKA_PREFIX"]
    producer = Producer(
        {"bootstrap.servers": stage.kafka.bootstrap, "transactional.id": prefix, "log_level": 2}
    )
    producer.init_transactions(20)
    for partition in range(PARTITIONS):
        producer.begin_transaction()
        value = json.dumps(order(1_000 + partition)).encode()
        producer.produce(f"{prefix}.raw", value, partition=partition, headers={"tenant": b"acme"})
        producer.commit_transaction(20)

    answer = orders(client, range(30))

    assert count(client, answer["token"]) == 30 + PARTITIONS
    until(lambda: metric(client).json["status"] == "fresh", seconds=15, what="fresh")
    assert health(client)["stream"]["skipped_offsets"] >= PARTITIONS
