"""Promise 18: one key, one effect, one answer; also when the answer was never sent."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Thread

from tests.chaos.servers import Client, Nursery, Server, until
from tests.chaos.shop import Shop

PARALLEL = 200


def batch(seed: int, size: int = 20) -> list[object]:
    """Return events without ids of their own: only the key makes them one effect."""
    shop = Shop(f"i{seed}", Random(seed))
    documents: list[object] = []
    for number in range(size):
        document = shop.event()
        data = {"product_id": "P", "warehouse": "BER1", "change": number + 1}
        documents.append({**document, "type": "stock.changed", "data": data})
    return documents


def moved(client: Client) -> object:
    return client.get("/v1/metrics/stock_movement?window=all").json["value"]


def test_parallel_requests_with_one_key_have_one_effect(
    nursery: Nursery, data_dir: Path, seed: int
) -> None:
    """A client that retries in a hurry must not count twice, and every try gets the same answer."""
    server = nursery.run(data_dir)
    body = json.dumps(batch(seed)).encode()

    def post(_: int) -> tuple[int, bytes, str]:
        client = server.client()
        answer = client.post("/v1/events", body, idempotency_key="one")
        client.close()
        return answer.status, answer.body, answer.headers.get("idempotency-replayed", "false")

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(post, range(PARALLEL)))

    assert {(status, body) for status, body, _ in answers} == {answers[0][:2]}
    assert answers[0][0] == 200
    assert sum(replayed == "false" for _, _, replayed in answers) == 1
    assert moved(server.client()) == 20 * 21 // 2
    other = server.client().post("/v1/events", batch(seed, 3), idempotency_key="one")
    assert (other.status, other.json["code"]) == (422, "idempotency_conflict")
    server.kill()


def test_a_crash_between_effect_and_answer_leaves_one_effect(
    nursery: Nursery, data_dir: Path, seed: int
) -> None:
    """The retry does not know whether the first try was stored; the outcome is the same."""
    random = Random(seed)
    expected = 0
    server = nursery.run(data_dir)
    for number in range(6):
        body = json.dumps(batch(seed + number)).encode()
        key = f"crash-{number}"
        server = _killed_while_answering(server, body, key, random, nursery, data_dir)
        client = server.client()

        first = client.post("/v1/events", body, idempotency_key=key)
        second = client.post("/v1/events", body, idempotency_key=key)

        expected += 20 * 21 // 2
        assert first.status == second.status == 200, first.body
        assert first.body == second.body
        assert moved(client) == expected
        other = client.post("/v1/events", batch(seed, 2), idempotency_key=key)
        assert other.json["code"] == "idempotency_conflict"
    server.kill()


def _killed_while_answering(
    server: Server, body: bytes, key: str, random: Random, nursery: Nursery, data_dir: Path
) -> Server:
    """Send a request; kill the platform as soon as its effect is in the log."""
    size = _written(data_dir)
    sending = Thread(target=_post, args=(server.client(), body, key), daemon=True)
    sending.start()
    until(lambda: _written(data_dir) != size or not sending.is_alive(), seconds=20, what="effect")
    for _ in range(random.randrange(20_000)):
        pass  # up to a millisecond: the answer is being made
    server.kill()
    sending.join(20)
    return nursery.run(data_dir)


def _written(data_dir: Path) -> tuple[int, int]:
    status = (data_dir / "log.sqlite-wal").stat()
    return status.st_size, status.st_mtime_ns


def _post(client: Client, body: bytes, key: str) -> None:
    try:
        client.post("/v1/events", body, idempotency_key=key)
    except (OSError, ValueError):
        return
