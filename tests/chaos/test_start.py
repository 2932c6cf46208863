"""A start always succeeds: whatever a state file looks like, and it says what was dropped."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.chaos.ledger import (
    Ledger,
    in_lake,
    in_log,
    require_metrics,
    require_verified,
)
from tests.chaos.load import Sender
from tests.chaos.servers import Nursery, Server
from tests.chaos.state_files import WAYS, kinds

CASES = int(os.environ.get("AGENTFLOW_CHAOS_CASES", "5"))
HARMLESS = {"lock", "snapshot", "log-shm"}
"""Kinds without which nothing can be lost."""


@dataclass
class Before:
    """A data directory as a kill -9 left it, and its ledger."""

    data_dir: Path
    ledger: Ledger


@pytest.fixture(scope="module")
def before(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Before:
    """Let a platform take a few hundred events, most of which the lake holds, and kill it."""
    folder = tmp_path_factory.mktemp("before")
    ledger = Ledger()
    sender = Sender(ledger, "acme", "before", Random(1))
    data_dir = folder / "data"
    server = nursery.run(data_dir, snapshot_seconds=0.3)
    client = server.client()
    for _ in range(60):
        sender.send(client)
    require_verified(client)
    for _ in range(5):
        sender.send(client)
    server.kill()
    assert (data_dir / "live.snapshot").exists()
    return Before(data_dir, ledger)


@pytest.mark.timeout(120 + 30 * CASES)
def test_every_state_file_may_be_damaged(
    nursery: Nursery, before: Before, tmp_path: Path, seed: int
) -> None:
    """Promise 19. The numbers equal what is left, and new events are taken."""
    outcomes: Counter[str] = Counter()
    only = os.environ.get("AGENTFLOW_CHAOS_CASE")
    for number in [int(only)] if only else range(CASES):
        case = Case(nursery, before, tmp_path / str(number), Random(seed * 1000 + number))
        try:
            outcomes[case.run()] += 1
        except BaseException:
            print(f"\ncase {number}: {case.what}; AGENTFLOW_CHAOS_CASE={number} repeats it alone")
            raise
        shutil.rmtree(case.data_dir.parent)

    print(f"{CASES} damaged directories: {dict(outcomes)}")


class Case:
    """One damaged directory."""

    def __init__(self, nursery: Nursery, before: Before, folder: Path, random: Random) -> None:
        self._nursery = nursery
        self._before = before
        self._random = random
        self._ledger = before.ledger.copy()
        self.data_dir = before.data_dir
        self.what = ""
        folder.mkdir()
        self.data_dir = folder / "data"
        # Iceberg's files name each other by absolute path: the copy has to stand at the same place.
        self._kept = before.data_dir.with_name("kept")
        if not self._kept.exists():
            before.data_dir.rename(self._kept)
        if before.data_dir.is_symlink():
            before.data_dir.unlink()
        shutil.copytree(self._kept, self.data_dir)
        before.data_dir.symlink_to(self.data_dir)

    def run(self) -> str:
        """Damage a file, start, compare; return what it was."""
        data_dir = self._before.data_dir
        files = kinds(data_dir)
        kind = self._random.choice([kind for kind, paths in files.items() if paths])
        path = self._random.choice(files[kind])
        way = self._random.choice(list(WAYS))
        self.what = f"{path.relative_to(data_dir)} {WAYS[way](path, self._random)}"
        server = self._start()
        client = server.client()
        health = client.get("/v1/health").json
        sender = Sender(self._ledger, "acme", f"after-{self._random.random()}", self._random)
        for _ in range(3):
            sender.send(client)
        require_verified(client)
        said = "repaired" in str(health["components"])
        assert server.stop() == 0
        self._compare(kind, said=said)
        return f"{kind} {'repaired' if said else 'opened'}"

    def _start(self) -> Server:
        return self._nursery.run(self._before.data_dir, snapshot_seconds=60)

    def _compare(self, kind: str, *, said: bool) -> None:
        ledger, data_dir = self._ledger, self._before.data_dir
        log, lake = in_log(data_dir), in_lake(data_dir)
        assert log.offsets == lake.offsets
        assert not log.doubled
        assert not lake.doubled
        assert log.offsets.keys() <= ledger.events.keys()
        missing = ledger.acknowledged_at().keys() - log.offsets.keys()
        if kind in HARMLESS or not said:
            assert not missing or kind == "log-wal", f"{len(missing)} were lost without a word"
        server = self._start()
        require_metrics(server.client(), ledger.kept("acme", log.offsets))
        server.kill()
