"""What either of log and lake loses, the other gives back."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from random import Random

import pytest

from tests.chaos.ledger import (
    Ledger,
    in_lake,
    in_log,
    require_metrics,
    require_recomputed,
    require_same,
    require_verified,
)
from tests.chaos.load import Sender
from tests.chaos.servers import Json, Nursery, Server, until


def filled(server: Server, ledger: Ledger, seed: int, *, requests: int = 60) -> Sender:
    """Send events and wait until the lake holds them all."""
    sender = Sender(ledger, "acme", f"s{seed}", Random(seed))
    client = server.client()
    for _ in range(requests):
        sender.send(client)
    health = client.get("/v1/health").json
    require_recomputed(client, "order_count")
    assert health["components"]["lake"]["status"] == "ok"
    return sender


def lose_log(data_dir: Path) -> None:
    """Delete the log as a careless operator does."""
    for file in data_dir.glob("log.sqlite*"):
        file.unlink()


def order_of(ledger: Ledger) -> str:
    """Return an order that something else corrects."""
    created = {
        sent.document["data"]["order_id"]
        for sent in ledger.events.values()
        if sent.document["type"] == "order.created"
    }
    return next(
        str(sent.document["data"]["order_id"])
        for sent in ledger.events.values()
        if sent.document["type"] == "order.updated" and sent.document["data"]["order_id"] in created
    )


def told(server: Server, component: str) -> str:
    """Return what health says about a component."""
    found: Json = server.client().get("/v1/health").json["components"][component]
    return str(found["detail"])


def test_a_lost_log_is_filled_from_the_lake(nursery: Nursery, data_dir: Path, seed: int) -> None:
    """Duplicates, corrections, timelines and dead letters go on as if nothing had been lost."""
    ledger = Ledger()
    server = nursery.run(data_dir)
    sender = filled(server, ledger, seed)
    client = server.client()
    order = f"/v1/entity/order/{order_of(ledger)}?timeline=true"
    token = client.get("/v1/health").json["token"]
    known = client.get(order).body
    letters = client.get("/v1/deadletter").json
    server.kill()
    lose_log(data_dir)

    server = nursery.run(data_dir)
    client = server.client()
    assert "came back from the lake" in told(server, "log")
    assert "storage.recovered" in server.log
    refused = client.get(f"/v1/metrics/order_count?at_least={token}")
    assert (refused.status, refused.json["code"]) == (400, "token_invalid")
    assert client.get(order).json["attributes"] == json_of(known)["attributes"]
    assert client.get("/v1/deadletter").json["counts"] == letters["counts"]
    sender.resend_everything(client)
    for _ in range(20):
        sender.send(client)
    require_verified(client)
    assert server.stop() == 0

    log, lake = in_log(data_dir), in_lake(data_dir)
    require_same(ledger, log, lake)
    server = nursery.run(data_dir)
    assert "put back" not in told(server, "log")
    require_metrics(server.client(), ledger.kept("acme", log.offsets))


def json_of(body: bytes) -> Json:
    found: Json = json.loads(body)
    return found


def test_filling_a_lost_log_may_be_cut_off(nursery: Nursery, data_dir: Path, seed: int) -> None:
    """It is finished at the next start; what was put back twice would be counted twice."""
    ledger, random = Ledger(), Random(seed)
    server = nursery.run(data_dir)
    filled(server, ledger, seed, requests=120)
    server.kill()
    lose_log(data_dir)

    for _ in range(4):
        server = nursery.start(data_dir)
        limit = random.uniform(0.05, 0.8)
        wait_or_ready(server, limit)
        server.kill()
    server = nursery.run(data_dir)
    require_recomputed(server.client(), "order_count")
    require_metrics(server.client(), ledger.kept("acme", ledger.events))
    assert server.stop() == 0

    require_same(ledger, in_log(data_dir), in_lake(data_dir))


def wait_or_ready(server: Server, seconds: float) -> None:
    """Give a start some time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.exit_code is None:
        time.sleep(0.002)


@pytest.mark.parametrize("part", ["lake", "lake/catalog.sqlite", "lake/events", "lake/agentflow"])
def test_a_lost_lake_is_written_again_from_the_log(
    nursery: Nursery, data_dir: Path, seed: int, part: str
) -> None:
    """The log is whole, so nothing is lost, and nothing is written twice."""
    ledger = Ledger()
    server = nursery.run(data_dir)
    sender = filled(server, ledger, seed, requests=30)
    server.kill()
    lost = data_dir / part
    if lost.is_dir():
        shutil.rmtree(lost)
    else:
        for file in lost.parent.glob(lost.name + "*"):
            file.unlink()

    server = nursery.run(data_dir)
    sender.send(server.client())
    if part != "lake":
        assert "written again from the log" in told(server, "lake")
    require_recomputed(server.client(), "order_count")
    assert server.stop() == 0

    require_same(ledger, in_log(data_dir), in_lake(data_dir))


@pytest.mark.parametrize("how", ["damaged", "removed"])
def test_a_snapshot_that_knows_lost_events_is_not_used(
    nursery: Nursery, data_dir: Path, seed: int, how: str
) -> None:
    """Its offset seems to fit: of a damaged log because offsets skip, of a shorter one later on.

         snapshot
            v
    log     [ kept | lost ]
    log     [ kept ][ new ........ ]    the old snapshot must not count what was lost
    """
    ledger = Ledger()
    server = nursery.run(data_dir, lake_seconds=3_000, snapshot_seconds=0.2)
    sender = Sender(ledger, "acme", f"w{seed}", Random(seed))
    for _ in range(5):
        sender.send(server.client())
    assert server.stop() == 0  # so that there is a log without its write-ahead file
    server = nursery.run(data_dir, lake_seconds=3_000, snapshot_seconds=0.2)
    for _ in range(30):
        sender.send(server.client())
    snapshot = data_dir / "live.snapshot"
    last_ns = time.time_ns()
    until(
        lambda: snapshot.exists() and snapshot.stat().st_mtime_ns > last_ns,
        seconds=10,
        what="a snapshot of everything",
    )
    server.kill()
    wal = data_dir / "log.sqlite-wal"
    if how == "removed":
        wal.unlink()
    else:
        content = bytearray(wal.read_bytes())
        content[len(content) * 2 // 3] ^= 1
        wal.write_bytes(content)

    server = nursery.run(data_dir, snapshot_seconds=3_000)
    client = server.client()
    require_verified(client)
    later = Sender(Ledger(), "acme", f"l-{seed}", Random(seed))
    for _ in range(60):
        later.send(client)
    server.kill()
    server = nursery.run(data_dir, snapshot_seconds=3_000)
    require_verified(server.client())
    server.kill()
