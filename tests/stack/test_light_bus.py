"""The light bus: gate and platforms over a real Redis; kills, two gates, a server that dies."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from redis import Redis as RedisClient

from agentflow_cli import main
from stack.services import Redis
from tests.chaos.servers import KEYS, Client, Nursery, Server, until

pytestmark = pytest.mark.xdist_group("stack")

Json = dict[str, Any]


class Light:
    """A prefix of its own on the server, gates and platforms."""

    def __init__(self, redis: Redis, nursery: Nursery, folder: Path) -> None:
        self.folder = folder
        self.prefix = f"light-{secrets.token_hex(4)}"
        self._nursery = nursery
        self._lives: list[Server] = []
        self.environment = {
            "AGENTFLOW_BUS": "redis",
            "AGENTFLOW_REDIS_URL": redis.url,
            "AGENTFLOW_REDIS_PREFIX": self.prefix,
            "AGENTFLOW_REDIS_PARTITIONS": "2",
        }

    def gate(self, name: str = "data", **more: str) -> Server:
        return self.begun(name, "gate", more).ready()

    def platform(self, name: str = "data", **more: str) -> Server:
        return self.begun(name, "up", more).ready()

    def begun(self, name: str, command: str, more: dict[str, str]) -> Server:
        environment = {**self.environment, **more}
        server = self._nursery.start(self.folder / name, environment=environment, command=command)
        self._lives.append(server)
        return server

    def report(self) -> None:
        for server in self._lives:
            print(f"exit code {server.exit_code}; the end of its log:\n{server.log[-4_000:]}")


@pytest.fixture
def light(redis: Redis, nursery: Nursery, tmp_path: Path) -> Iterator[Light]:
    found = Light(redis, nursery, tmp_path)
    yield found
    found.report()
    for server in found._lives:  # noqa: SLF001 - the next test has the machine to itself
        server.kill()


def order(number: int, amount: str = "10.00") -> Json:
    return {
        "specversion": "1.0",
        "id": f"o{number}",
        "source": "/shop",
        "type": "order.created",
        "data": {
            "order_id": f"o{number}",
            "amount": amount,
            "currency": "EUR",
            "country": "DE",
        },
    }


def sent(client: Client, numbers: Sequence[int]) -> str:
    answer = client.post("/v1/events", [order(number) for number in numbers])
    assert answer.status in {200, 207}, answer.body
    return str(answer.json["token"])


def count(client: Client, token: str | None = None) -> object:
    query = f"&at_least={token}" if token else ""
    answer = client.get(f"/v1/metrics/order_count?window=all{query}", prefer="wait=20")
    assert answer.status == 200, answer.body
    return answer.json["value"]


def verified(client: Client) -> bool:
    answer = client.get("/v1/verify")
    assert answer.status == 200, answer.body
    return bool(answer.json["verified"])


def health(client: Client) -> Json:
    found: Json = client.get("/v1/health").json
    return found


def component(client: Client, name: str) -> Json:
    found: Json = health(client)["components"][name]
    return found


def test_numbers_survive_kills_of_gate_and_platform(light: Light) -> None:
    """Each event counts once, whoever is killed at whatever moment, and the lake agrees."""
    gate, server = light.gate(), light.platform()
    client = server.client(seconds=60)
    total = 0
    for round_ in range(4):
        tokens = []
        for _ in range(6):
            tokens.append(sent(client, [*range(total, total + 20), max(total - 1, 0)]))
            total += 20
        gate.kill()  # with outcomes of some written, and none of others
        tokens.append(sent(client, range(total, total + 20)))
        total += 20
        gate = light.gate()
        assert count(client, tokens[-1]) == total
        if round_ % 2:
            server.kill()
            server = light.platform()
            client = server.client(seconds=60)
            assert count(client, tokens[0]) == total

    refused = client.post("/v1/events", b"not json")
    assert refused.status == 422
    assert count(client, refused.json["token"]) == total
    conflict = client.post("/v1/events", order(3, amount="11.00"))
    assert conflict.status == 422
    assert count(client, conflict.json["token"]) == total
    letters = client.get("/v1/deadletter").json["dead_letters"]
    assert {letter["reason"] for letter in letters} == {"malformed_json", "id_conflict"}
    until(lambda: component(client, "lake")["status"] == "ok", seconds=20, what="a lake")
    assert verified(client)
    hops = client.get("/v1/lineage/event/o0?source=/shop").json["hops"]
    assert [hop["hop"] for hop in hops][:3] == ["received", "raw", "validated"]


def test_of_two_gates_one_works_and_the_other_takes_over(light: Light) -> None:
    """A suspended gate that wakes up late stores nothing; what it did not do is done."""
    first = light.gate("one")
    server = light.platform("one")
    second = light.gate("two", AGENTFLOW_LAKE_DIR=str(light.folder / "one" / "lake"))
    client = server.client(seconds=60)
    assert count(client, sent(client, range(50))) == 50

    first.pause()
    token = sent(client, range(50, 100))
    assert count(client, token) == 100
    first.go_on()
    assert count(client, sent(client, range(150))) == 150
    second.kill()
    assert count(client, sent(client, range(200))) == 200
    assert client.get("/v1/deadletter").json["dead_letters"] == []


def test_a_second_gate_of_a_directory_waits_for_it(light: Light) -> None:
    """Started beside the first, it takes over; a lake that nobody writes is refused."""
    first = light.gate()
    second = light.begun("data", "gate", {})
    until(lambda: "waiting to take over" in second.log, seconds=30, what="waiting")
    lonely = light.begun("elsewhere", "up", {})
    stranger = light.begun("elsewhere-too", "gate", {})
    assert (lonely.ended(), stranger.ended()) == (2, 3)
    for refused in (lonely, stranger):
        assert "AGENTFLOW_LAKE_DIR" in refused.log

    first.kill()
    second.ready()
    other = light.platform("other", AGENTFLOW_LAKE_DIR=str(light.folder / "data" / "lake"))
    client = other.client(seconds=60)
    assert count(client, sent(client, range(20))) == 20
    assert verified(client)


def test_whatever_is_added_by_hand_stops_nothing(light: Light, redis: Redis) -> None:
    """Garbage is a dead letter in raw and passed over behind the gate; an event arrives now."""
    light.gate()
    client = light.platform().client("acme", seconds=60)
    late = {**order(1), "time": "2022-01-01T00:00:00Z"}
    with RedisClient.from_url(redis.url) as by_hand:

        def add(topic: str, **fields: bytes | str) -> None:
            by_hand.xadd(f"{light.prefix}:{topic}:0", fields, id="0-*")  # type: ignore[arg-type]

        headers = b"\x81\xa6tenant\xa4acme"  # MessagePack
        add("raw", v=json.dumps(order(0)), h=headers)
        add("raw", v=json.dumps(late), h=headers, t="1640995200000000")
        add("raw", v=json.dumps(order(2)), h=headers, t="1924992000000000")
        for topic in ("raw", "validated", "dead_letters", "duplicates"):
            add(topic, v=b"\xff garbage", h=b"x", t="abc", k=b"\xff")
            add(topic, nothing="at all")
        token = sent(client, range(10, 20))
    until(lambda: count(client, token) == 12, seconds=20, what="all events")
    recent = client.get("/v1/metrics/order_count?window=5m").json["value"]
    assert recent == 12
    letters = client.get("/v1/deadletter").json["dead_letters"]
    assert [letter["reason"] for letter in letters] == ["too_late"]
    assert verified(client)
    assert health(client)["stream"]["unreadable"] > 0


def test_a_redis_that_lost_everything_acknowledges_nothing(light: Light, redis: Redis) -> None:
    """What is sent would be judged by nobody; numbers stay, and health says what happened."""
    gate = light.gate()
    server = light.platform()
    client = server.client(seconds=60)
    assert count(client, sent(client, range(30))) == 30
    with RedisClient.from_url(redis.url) as by_hand:
        for key in by_hand.scan_iter(f"{light.prefix}:*"):
            by_hand.delete(key)

    until(lambda: client.post("/v1/events", order(30)).status == 503, seconds=20, what="a no")
    found = until(
        lambda: component(client, "stream")["status"] == "failing" and component(client, "stream"),
        seconds=20,
        what="health",
    )
    assert isinstance(found, dict)
    assert "lost what it held" in found["detail"]
    assert "AGENTFLOW_REDIS_PREFIX" in found["fix"]
    assert count(client) == 30
    assert gate.exit_code is None
    assert "lost what it held" in gate.log
    server.stop()
    client = light.platform().client(seconds=60)
    assert count(client) in {0, 30}  # what the lake had taken over by then
    assert "another stream" in component(client, "log")["detail"]
    assert (light.folder / "data" / "replica-of-another-stream.sqlite").exists()


def test_a_redis_that_dies_leaves_stale_answers_and_comes_back(light: Light, redis: Redis) -> None:
    """Numbers stay, status and health say so, intake refuses; then all goes on by itself."""
    light.gate()
    server = light.platform()
    client = server.client(seconds=60)
    assert count(client, sent(client, range(30))) == 30

    redis.kill()
    try:
        metric = "/v1/metrics/order_count?window=all"
        until(lambda: client.get(metric).json["status"] == "stale", seconds=15, what="stale")
        assert count(client) == 30
        assert component(client, "stream")["status"] == "degraded"
        assert "Redis does not answer" in component(client, "stream")["detail"]
        refused = client.post("/v1/events", order(30))
        assert (refused.status, refused.json["code"]) == (503, "unavailable")
        assert "redis" in doctor(light)
        server.kill()
        server = light.platform()
        client = server.client(seconds=60)
        assert count(client) == 30
    finally:
        redis.restart()

    def taken() -> str | None:
        answer = client.post("/v1/events", order(30))
        return str(answer.json["token"]) if answer.status == 200 else None

    token = until(taken, seconds=30, what="an event taken")
    assert count(client, str(token)) == 31


def test_old_records_are_let_go_and_nothing_is_lost_by_it(light: Light, redis: Redis) -> None:
    """Memory is bounded; a new replica takes what it lacks from the lake."""
    light.gate("shared", AGENTFLOW_REDIS_KEEP_EVENTS="100")
    server = light.platform("shared")
    client = server.client(seconds=60)
    for start in range(0, 2_000, 100):
        token = sent(client, range(start, start + 100))
    assert count(client, token) == 2_000

    with RedisClient.from_url(redis.url) as server_client:

        def left() -> int:
            return int(server_client.xlen(f"{light.prefix}:validated:0"))

        until(lambda: left() <= 300, seconds=20, what="letting go")
    server.stop()
    for name in ("replica.sqlite", "replica.sqlite-wal", "replica.sqlite-shm"):
        (light.folder / "shared" / name).unlink(missing_ok=True)
    client = light.platform("shared").client(seconds=60)
    assert count(client) == 2_000
    assert verified(client)


def test_smoke_goes_through_the_light_bus(light: Light) -> None:
    """The same command, the same hops."""
    light.gate()
    server = light.platform()

    found = CliRunner().invoke(
        main, ["smoke", "--json", "--lake", "--url", server.url, "--api-key", KEYS["acme"]]
    )

    assert found.exit_code == 0, found.output
    hops = [hop["hop"] for hop in json.loads(found.stdout)["hops"]]
    assert {"taken", "visible", "raw", "validated", "lake"} <= set(hops)


def test_a_gate_without_the_light_bus_says_where_the_gate_is(
    nursery: Nursery, tmp_path: Path
) -> None:
    """Started on the wrong bus it would wait without a word."""
    server = nursery.start(tmp_path, command="gate")

    assert server.ended() != 0
    assert "AGENTFLOW_BUS=redis" in server.log


def doctor(light: Light) -> list[str]:
    """Return what `agentflow doctor` finds to be a problem."""
    chosen = {**light.environment, "AGENTFLOW_URL": "http://127.0.0.1:1"}
    found = CliRunner().invoke(
        main, ["doctor", "--json", "--data-dir", str(light.folder)], env=chosen
    )
    return [item["name"] for item in json.loads(found.stdout) if item["status"] == "problem"]
