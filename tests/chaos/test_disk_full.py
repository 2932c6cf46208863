"""Promise 6: a full disk is said clearly, loses nothing, and ends by itself."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.chaos.ledger import (
    Ledger,
    in_lake,
    in_log,
    require_metrics,
    require_same,
    require_verified,
)
from tests.chaos.load import Sender
from tests.chaos.servers import Client, Nursery, until

SIZE_MIB = 24
RECOVERY_SECONDS = 5


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of its own; mounting it takes root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "agentflow-chaos", str(disk)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.fail("mounting a tmpfs is not allowed here: run the tests as root", pytrace=False)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


class Filler:
    """A file that takes what space there is."""

    def __init__(self, disk: Path) -> None:
        self._file = disk / "filler"

    def fill(self, *, leave_bytes: int = 0) -> None:
        with self._file.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    continue
        if leave_bytes:
            with self._file.open("r+b") as file:
                file.truncate(max(self._file.stat().st_size - leave_bytes, 0))

    def free(self) -> None:
        self._file.unlink()


def send_until_full(sender: Sender, client: Client) -> None:
    """Send until the platform says that it has no room."""
    deadline = time.monotonic() + 30
    while not sender.refusals:
        assert time.monotonic() < deadline, "the disk never got full"
        sender.send(client)


def test_a_full_disk_stops_intake_and_nothing_else(
    nursery: Nursery, small_disk: Path, seed: int
) -> None:
    """Filled and freed several times; no restart in between."""
    random = Random(seed)
    ledger = Ledger()
    data_dir = small_disk / "data"
    filler = Filler(small_disk)
    server = nursery.run(data_dir)
    client = server.client()
    sender = Sender(ledger, "acme", f"full{seed}", random)
    for _ in range(20):
        sender.send(client)

    for _ in range(3):
        filler.fill(leave_bytes=random.choice([0, 4096, 100_000]))
        sender.refusals.clear()
        send_until_full(sender, client)
        refused = sender.refusals[0]
        assert (refused.status, refused.json["code"]) == (503, "storage_full"), refused.body
        assert int(refused.headers["retry-after"]) > 0
        keyed = client.post("/v1/events", b"{}", idempotency_key=f"key-{random.random()}")
        assert keyed.status in {422, 503}, keyed.body
        assert client.get("/v1/metrics/order_count?window=all").status == 200
        assert client.get("/v1/health").json["components"]["log"]["status"] != "ok"
        assert client.get("/v1/health/live").status == 200

        filler.free()
        sender.refusals.clear()

        def accepted() -> bool:
            before = ledger.acknowledged
            sender.send(client)
            return ledger.acknowledged > before

        until(accepted, seconds=RECOVERY_SECONDS, what="intake after space was freed")
    require_verified(client)
    assert server.stop() == 0

    log, lake = in_log(data_dir), in_lake(data_dir)
    require_same(ledger, log, lake)
    server = nursery.run(data_dir)
    require_metrics(server.client(), ledger.kept("acme", log.offsets))
    server.kill()


def test_a_stop_and_a_start_on_a_full_disk_lose_nothing(
    nursery: Nursery, small_disk: Path, seed: int
) -> None:
    """A platform that cannot write says so and ends, or serves; once there is room it is whole."""
    ledger = Ledger()
    data_dir = small_disk / "data"
    filler = Filler(small_disk)
    server = nursery.run(data_dir)
    sender = Sender(ledger, "acme", f"stop{seed}", Random(seed))
    client = server.client()
    for _ in range(20):
        sender.send(client)
    filler.fill()
    send_until_full(sender, client)

    assert server.stop() == 0, server.log
    server = nursery.start(data_dir)
    until(
        lambda: server.exit_code is not None or "url" in out_of(server),
        seconds=60,
        what="a start on a full disk, or its refusal",
    )
    if server.exit_code is not None:
        assert "Traceback" not in server.log, server.log
        assert "space" in server.log or "full" in server.log
    server.kill()

    filler.free()
    server = nursery.run(data_dir)
    require_verified(server.client())
    assert server.stop() == 0
    log = in_log(data_dir)
    require_same(ledger, log, in_lake(data_dir))


def out_of(server: object) -> str:
    path: Path = server._out  # type: ignore[attr-defined]  # noqa: SLF001
    return path.read_text() if path.exists() else ""
