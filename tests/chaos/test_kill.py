"""kill -9 at random points under load: nothing acknowledged is lost, nothing counts twice."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from threading import Thread

import pytest

from tests.chaos.expected import FORMULAS
from tests.chaos.ledger import (
    Ledger,
    in_lake,
    in_log,
    require_metrics,
    require_recomputed,
    require_same,
    require_verified,
)
from tests.chaos.load import Load, Sender
from tests.chaos.servers import KEYS, ROOT, Client, Nursery, Server

ROUNDS = int(os.environ.get("AGENTFLOW_CHAOS_ROUNDS", "6"))
TENANTS = ["acme", "acme", "globex"]
AIMS = ["anywhere", "lake", "snapshot", "start", "publish", "rebuild", "lake", "anywhere"]
EXTRA = """
kind: metric
name: chaos_orders
version: 1
status: approved
owner: chaos
description: Orders, once more, to have something to publish.
unit: orders
value: count(order.created)
moved_by: [order.cancelled@1, order.created@1]
dimensions: [country, channel]
windows: [24h, all]
"""


class Campaign:
    """One data directory through many lives."""

    def __init__(self, nursery: Nursery, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.ledger = Ledger()
        self.data_dir = folder / "data"
        self.contracts = folder / "contracts"
        shutil.copytree(ROOT / "contracts", self.contracts)
        self._nursery = nursery
        self.senders = [
            Sender(self.ledger, tenant, f"{seed}-{number}", Random(seed + number))
            for number, tenant in enumerate(TENANTS)
        ]

    def start(self) -> Server:
        return self._nursery.start(
            self.data_dir, contracts_dir=self.contracts, snapshot_seconds=0.2
        )

    def round(self, aim: str) -> None:
        """Let the platform live under load, and kill it where *aim* says."""
        if aim == "rebuild":
            (self.data_dir / "live.snapshot").unlink(missing_ok=True)
        server = self.start()
        if aim in {"start", "rebuild"}:
            self._let(self.random.uniform(0, 1.5), server)
            server.kill()
            return
        server.ready()
        for tenant in KEYS:
            name = self.random.choice([name for name, _ in FORMULAS if name != "chaos_orders"])
            require_recomputed(server.client(tenant), name)
        load = Load(self.senders, server.url, TENANTS)
        self._let(self.random.uniform(0.1, 0.5), server)
        if aim == "publish":
            self._publish(server)
        elif aim == "lake":
            before = self._lake_files()
            self._spin(lambda: self._lake_files() != before)
            self._let(self.random.uniform(0, 0.05), server)
        elif aim == "snapshot":
            self._spin((self.data_dir / "live.new").exists)
        server.kill()
        load.end()

    def _publish(self, server: Server) -> None:
        file = self.contracts / "metrics" / "chaos_orders.v1.yaml"
        if file.exists():
            file.unlink()
        else:
            file.write_text(EXTRA)
        asking = Thread(target=_ask_to_publish, args=(server.client(),), daemon=True)
        asking.start()
        self._let(self.random.uniform(0, 0.8), server)

    def _lake_files(self) -> int:
        return sum(1 for _ in self.data_dir.glob("lake/*/*/*/*"))

    def _spin(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 3
        while not condition() and time.monotonic() < deadline:
            pass

    def _let(self, seconds: float, server: Server) -> None:
        """Let time pass: the load itself is what is waited for."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and server.exit_code is None:
            time.sleep(0.002)


def _ask_to_publish(client: Client) -> None:
    try:
        client.post("/v1/contracts/publish", {})
    except (OSError, ValueError):
        return


@pytest.mark.timeout(240 + 12 * ROUNDS)
def test_killed_at_random_points_under_load(nursery: Nursery, tmp_path: Path, seed: int) -> None:
    """Promises 1, 2 and 3 in one: ledger = log = lake = metrics, after any number of deaths."""
    campaign = Campaign(nursery, tmp_path, seed)
    ledger = campaign.ledger
    for number in range(ROUNDS):
        campaign.round(AIMS[number % len(AIMS)])

    server = campaign.start().ready()
    for sender, tenant in zip(campaign.senders, TENANTS, strict=True):
        sender.resend_everything(server.client(tenant))
    numbers = sum(require_verified(server.client(tenant, seconds=120)) for tenant in KEYS)
    assert server.stop() == 0
    log, lake = in_log(campaign.data_dir), in_lake(campaign.data_dir)

    require_same(ledger, log, lake)
    assert log.offsets.keys() == ledger.events.keys(), "all was resent in the end"
    server = campaign.start().ready()
    compared = sum(
        require_metrics(server.client(tenant), ledger.kept(tenant, log.offsets)) for tenant in KEYS
    )
    assert server.stop() == 0
    print(
        f"{ROUNDS} kills: {ledger.acknowledged} events acknowledged, {ledger.duplicates} repeated, "
        f"{ledger.unanswered} stored without an answer, {log.refused} refused; "
        f"{compared} numbers equal to the ledger, {numbers} to the lake"
    )
    assert ledger.acknowledged > 10 * ROUNDS
    assert compared > 500
