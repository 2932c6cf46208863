"""kill -9 of a process that commits: nothing acknowledged is lost, doubled or stored half."""

from __future__ import annotations

import os
import random
import runpy
import signal
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

from ingestion.log.opening import open_log
from ingestion.log.port import DEAD_LETTERS, PIPELINE, RAW, VALIDATED

WRITER = Path(__file__).parent / "crashing_writer.py"
batches = runpy.run_path(str(WRITER))["batches"]
KILLS = 20
SEED = 20_261_121


def _run_and_kill(path: Path, *, first: int, seed: int) -> list[tuple[int, int]]:
    """Let a writer acknowledge some batches, kill it, return what it acknowledged."""
    chance = random.Random(seed)
    arguments = [sys.executable, str(WRITER), str(path), str(first), str(seed)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline() for _ in range(chance.randrange(1, 12))]
        # Spin for a random moment, so that the kill lands anywhere inside a commit.
        for _ in range(chance.randrange(200_000)):
            pass
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += writer.stdout.readlines()
    return [(int(a), int(b)) for a, b in (line.split() for line in acknowledged if b"\n" in line)]


def _whole_batches(raw: list[int], runs: list[tuple[int, int]]) -> int:
    """Return how many of the raw events are whole batches of the runs, in order."""
    position = 0
    for first, seed in runs:
        for numbers in batches(first, seed):
            if raw[position : position + len(numbers)] != list(numbers):
                break
            position += len(numbers)
    return position


def test_kill_nine_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Promise 1: an acknowledged event is never lost and never counted twice."""
    path = tmp_path / "log.sqlite"
    ledger: set[int] = set()
    runs: list[tuple[int, int]] = []
    first = 0
    for kill in range(KILLS):
        runs.append((first, SEED + kill))
        acknowledged = _run_and_kill(path, first=first, seed=SEED + kill)
        for start, stop in acknowledged:
            ledger.update(range(start, stop))
        # The next writer sends the last acknowledged batch again, as a client would.
        first = acknowledged[-1][0]

    opened = open_log(path)
    log = opened.log
    raw = [int(record.value) for record in log.read(RAW, start=0, limit=10**7)]
    validated = [int(record.value) for record in log.read(VALIDATED, start=0, limit=10**7)]
    dead = [int(record.value) for record in log.read(DEAD_LETTERS, start=0, limit=10**7)]

    assert _whole_batches(raw, runs) == len(raw)
    assert opened.report.outcome == "opened"
    assert len(validated) == len(set(validated))
    assert {n for n in ledger if n % 10} <= set(validated)
    assert {n for n in ledger if n % 10 == 0} <= set(dead)
    assert set(validated) | set(dead) == set(raw)
    assert log.position(PIPELINE, RAW) == log.end(RAW) == len(raw)
    digests = {n: blake2b(b"%d" % n, digest_size=16).digest() for n in validated}
    links = log.linked_many(digests.values())
    for offset, number in enumerate(validated):
        assert log.find_identity(digests[number]) == offset
        assert list(links[digests[number]]) == [offset]
    log.close()
