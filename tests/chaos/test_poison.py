"""Promise 5: one poison request costs one request, whatever it is made of."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from threading import Event, Thread

import pytest

from tests.chaos.ledger import Ledger, in_lake, in_log, require_same
from tests.chaos.load import Sender
from tests.chaos.servers import KEYS, Nursery, Server, until

IDLE = 200
DEEP = 200_000


class Witness:
    """An honest client beside the attack: it has to be answered all the time."""

    def __init__(self, server: Server, seed: int) -> None:
        self.ledger = Ledger()
        self._sender = Sender(self.ledger, "acme", f"w{seed}", Random(seed))
        self._server = server
        self._ended = Event()
        self.failures: list[str] = []
        self.requests = 0
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        client = self._server.client(seconds=10)
        while not self._ended.is_set():
            try:
                self._sender.send(client)
            except (OSError, ValueError) as error:
                self.failures.append(repr(error))
            self.requests += 1

    def goes_on(self) -> None:
        """Wait until it has been answered a few more times."""
        wanted = self.requests + 5
        until(lambda: self.requests >= wanted or self.failures, seconds=20, what="answers")
        assert not self.failures, self.failures[:3]
        assert not self._sender.refusals, self._sender.refusals[0].body

    def end(self) -> None:
        self._ended.set()
        self._thread.join(20)


@pytest.fixture
def server(nursery: Nursery, data_dir: Path) -> Iterator[Server]:
    """A platform of its own for each attack."""
    found = nursery.run(data_dir)
    yield found
    found.kill()


def head(length: int | str, media: str = "application/json") -> bytes:
    """Return the head of a POST that promises a body."""
    return (
        f"POST /v1/events HTTP/1.1\r\nhost: x\r\nx-api-key: {KEYS['globex']}\r\n"
        f"content-type: {media}\r\ncontent-length: {length}\r\n\r\n"
    ).encode()


def raw(server: Server) -> socket.socket:
    """Return a connection on which anything may be said."""
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def answered(connection: socket.socket) -> bytes:
    """Return what comes back, up to its end or a pause."""
    try:
        return connection.recv(65_536)
    except OSError:
        return b""


def test_one_poison_event_costs_one_event(server: Server, data_dir: Path, seed: int) -> None:
    """Among a thousand good events only the culprits are dead letters."""
    poisons = [
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b'{"type":"order.created","data":{"amount":%s}}' % (b"9" * 100_000),
        b'{"type":"order.created","data":{"order_id":"%s"}}' % (b"x" * 1_500_000),
        b'{"type":"order.created","data":{"amount":1e999999999}}',
        b'{"type":"order.created","data":{"amount":"1e999999999"}}',
        b'{"type":"' + b"\\u0000" * 1000 + b'"}',
        b"\xff\xfe\x00",
        b"NaN",
    ]
    good = [
        json.dumps(
            {
                "id": f"g{number}",
                "source": "/chaos",
                "type": "stock.changed",
                "data": {"product_id": "P", "warehouse": "BER1", "change": 1},
            }
        ).encode()
        for number in range(1000 - len(poisons))
    ]
    lines = [*good[:500], *poisons, *good[500:]]
    Random(seed).shuffle(lines)
    client = server.client()

    answer = client.post("/v1/events", b"\n".join(lines), content_type="application/x-ndjson")

    assert answer.status == 207, answer.body[:300]
    assert answer.json["rejected"] == len(poisons)
    assert answer.json["accepted"] == len(good)
    assert client.get("/v1/metrics/stock_movement?window=all").json["value"] == len(good)
    assert server.stop() == 0
    assert in_log(data_dir).refused == in_lake(data_dir).refused == len(poisons)


def test_poison_requests_cost_nobody_else_anything(
    server: Server, data_dir: Path, seed: int
) -> None:
    """Oversize, lies about the length, uploads that stop, broken framing, endless headers."""
    witness = Witness(server, seed)
    witness.goes_on()
    client = server.client("globex")
    assert client.post("/v1/events", b"x" * (17 << 20)).status == 413
    witness.goes_on()
    assert client.post("/v1/events", b"[" * (4 << 20)).status in {400, 422}
    assert client.post("/v1/dry-run", b"[" * (1 << 20)).status < 500
    witness.goes_on()
    for _ in range(30):
        with closing(raw(server)) as connection:
            connection.sendall(head(1_000_000) + b"[{" + b" " * 1000)  # and gone
    witness.goes_on()
    for said in (
        head(1 << 40),
        head("-1"),
        head("abc"),
        b"\x16\x03\x01 this is TLS",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
        b"POST /v1/events HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ):
        with closing(raw(server)) as connection:
            try:
                connection.sendall(said)
            except OSError:
                continue
            first = answered(connection) if said.startswith(b"POST") else b""
            assert b" 500 " not in first[:40], first[:200]
    witness.goes_on()
    witness.end()
    assert server.stop() == 0
    require_same(witness.ledger, in_log(data_dir), in_lake(data_dir))


def test_slow_and_idle_clients_keep_nobody_waiting(server: Server, seed: int) -> None:
    """Two hundred connections that say nothing, or one byte now and then."""
    witness = Witness(server, seed)
    with ExitStack() as stack:
        idle = [stack.enter_context(closing(raw(server))) for _ in range(IDLE)]
        slow = [stack.enter_context(closing(raw(server))) for _ in range(20)]
        for connection in slow:
            connection.sendall(head(100_000))
        for _ in range(5):
            for connection in slow:
                connection.sendall(b" ")
            witness.goes_on()
        idle[0].sendall(b"GET /v1/health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200" in answered(idle[0])
    witness.goes_on()
    witness.end()
    assert server.client().get("/v1/health/live").status == 200
