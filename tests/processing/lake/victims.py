"""Lake writers that are killed: forked from one process, so that a life costs no imports.

Run as `victims.py <directory> <seed> <kills>`; the last line printed is a report.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import MutableMapping
from pathlib import Path

import pyiceberg.io.pyarrow  # noqa: F401 - a second of imports, once and not in every life
import pyiceberg_core.transform  # noqa: F401
import structlog

from agentflow.errors import StorageError
from agentflow.lint import load
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from ingestion.log.reader import LogReader
from processing.lake import LakeWriter, Positions, open_lake
from quality import Gate

REGISTRY = load("contracts")
GATE = Gate(REGISTRY)


def live(directory: Path, seed: int, ready: int) -> None:
    """Write small batches until killed; several tables each, so that most kills cut a batch."""
    random.seed(seed)
    log = LogReader(directory / "log.sqlite")
    conflicts = os.open(directory / "conflicts", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(_logger: object, _name: str, event: MutableMapping[str, object]) -> str:
        if event["event"] == "lake.commit_conflicted":
            os.write(conflicts, b"x")
        return ""

    structlog.configure(processors=[note], logger_factory=structlog.ReturnLoggerFactory())
    lake = open_lake(directory / "lake", REGISTRY)
    writer = LakeWriter(lake, log, GATE, batch_events=random.randint(20, 120))
    goal = Positions(log.end(VALIDATED), log.end(DEAD_LETTERS))
    os.write(ready, b"x")
    while True:
        try:
            writer.write_up_to(goal)
        except StorageError:
            continue  # the other writer won too often; go on
        return


def born(directory: Path, seed: int) -> int:
    """Fork a writer; return its process id once it writes."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            live(directory, seed, write)
        finally:
            os._exit(1)
    os.close(write)
    os.read(read, 1)
    os.close(read)
    return child


def main() -> None:
    """Let writers live and die."""
    directory, seed, kills = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    for number in range(kills):
        writer = born(directory, chance.randrange(10**6))
        zombie = born(directory, chance.randrange(10**6)) if number % 3 == 0 else None
        time.sleep(chance.uniform(0.02, 0.4))
        if zombie is not None:
            os.kill(zombie, signal.SIGSTOP)
            time.sleep(chance.uniform(0.1, 0.3))
            os.kill(zombie, signal.SIGCONT)
            time.sleep(chance.uniform(0.1, 0.3))
            kill(zombie)
        kill(writer)
    print(json.dumps({"kills": kills, "conflicts": len((directory / "conflicts").read_bytes())}))


def kill(process: int) -> None:
    """End a process in the middle of what it does."""
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit("a writer ended before it was killed: give it more to do")


main()
