"""What a client may rely on from one life of the platform to the next, and one life at a time."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.chaos.ledger import Ledger, in_log, require_metrics, require_verified
from tests.chaos.load import Sender
from tests.chaos.servers import Client, Nursery, Server, until

READ = "/v1/metrics/order_count?window=all"


def end(server: Server, data_dir: Path, how: str) -> None:
    """End a life in one of the ways there are."""
    if how == "stopped":
        assert server.stop() == 0
    else:
        server.kill()
    if how == "without its snapshot":
        (data_dir / "live.snapshot").unlink(missing_ok=True)


def order(client: Client, number: str) -> str:
    """Send one order; return the token."""
    data = {"order_id": number, "amount": "1.00", "currency": "EUR"}
    document = {"id": number, "source": "/chaos", "type": "order.created", "data": data}
    answer = client.post("/v1/events", document)
    assert answer.status == 200, answer.body
    return str(answer.json["token"])


@pytest.mark.parametrize("how", ["stopped", "killed", "without its snapshot"])
def test_numbers_tokens_and_tags_outlive_the_platform(
    nursery: Nursery, data_dir: Path, seed: int, how: str
) -> None:
    """Same numbers; old tokens hold; an old tag never confirms another number."""
    ledger = Ledger()
    server = nursery.run(data_dir, snapshot_seconds=0.2)
    client = server.client()
    sender = Sender(ledger, "acme", f"r{seed}", Random(seed))
    for _ in range(40):
        sender.send(client)
    token = client.get("/v1/health").json["token"]
    before = client.get(READ)
    assert client.get(READ, if_none_match=before.headers["etag"]).status == 304
    until((data_dir / "live.snapshot").exists, seconds=10, what="a snapshot")
    for _ in range(5):
        sender.send(client)
    value = client.get(READ).json["value"]
    end(server, data_dir, how)

    server = nursery.run(data_dir)
    client = server.client()

    again = client.get(READ)
    assert again.json["value"] == value
    assert client.get(f"{READ}&at_least={token}").status == 200
    stale = client.get(READ, if_none_match=before.headers["etag"])
    assert stale.status == 200 or value == before.json["value"]
    assert client.get(READ, if_none_match=again.headers["etag"]).status == 304
    newer = order(client, "fresh")
    after = client.get(f"{READ}&at_least={newer}", if_none_match=again.headers["etag"])
    assert after.status == 200
    assert after.json["value"] == value + 1
    require_verified(client)
    assert server.stop() == 0
    server = nursery.run(data_dir)
    known = in_log(data_dir).offsets.keys() - {("acme", "fresh")}
    fresh = {
        "id": "fresh",
        "source": "/chaos",
        "type": "order.created",
        "time": "2026-11-21T10:00:00Z",
    }
    fresh["data"] = {"order_id": "fresh", "amount": "1.00", "currency": "EUR"}  # type: ignore[assignment]
    documents = [*ledger.kept("acme", known), fresh]
    require_metrics(server.client(), documents, windows=("all",))
    server.kill()


def test_a_second_platform_on_the_same_directory_is_told_so(
    nursery: Nursery, data_dir: Path
) -> None:
    """Two writers of one log would each accept what the other has."""
    first = nursery.run(data_dir)

    second = nursery.start(data_dir)

    assert second.ended() == 3
    assert f"is in use by process {first.pid}" in " ".join(second.log.split())
    assert "--data-dir" in second.log
    assert "Traceback" not in second.log
    order(first.client(), "still here")
    first.kill()
    third = nursery.run(data_dir)
    assert third.client().get(READ).json["value"] == 1
    third.kill()


def test_the_lock_of_a_dead_platform_holds_nobody_up(nursery: Nursery, data_dir: Path) -> None:
    """The kernel gives the lock back; what the file says is for people."""
    nursery.run(data_dir).kill()
    (data_dir / "LOCK").write_bytes(b"\xff\xfe 1\n" * 1000)

    server = nursery.run(data_dir)

    second = nursery.start(data_dir)
    assert second.ended() == 3
    assert f"process {server.pid}" in " ".join(second.log.split())
    server.kill()
