"""kill -9 in the middle of commits to many tables: nothing is lost and nothing is there twice.

200 of them: `AGENTFLOW_LAKE_KILLS=100 pytest tests/processing/lake/test_kill.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from agentflow.contracts import Registry
from ingestion.log.opening import open_log
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.lake import LakeReader, LakeWriter, Positions, compact, open_lake
from quality import Gate
from tests.processing.lake.conftest import batch_of, cancelled, order

KILLS = int(os.environ.get("AGENTFLOW_LAKE_KILLS", "12"))
EVENTS = 350 * KILLS // 500 * 500
VICTIMS = Path(__file__).parent / "victims.py"


@pytest.mark.timeout(120 + 15 * KILLS)
@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_in_the_middle_of_batches_loses_and_doubles_nothing(
    tmp_path: Path, registry: Registry, gate: Gate, seed: int
) -> None:
    """Every third time with a second writer on the same lake, which is stopped and wakes up."""
    opened = open_log(tmp_path / "log.sqlite")
    for start in range(0, EVENTS, 500):
        documents = [
            each
            for number in range(start, start + 500)
            for each in (order(number), cancelled(number), payment(number), view(number))
        ]
        opened.log.commit(batch_of(gate, [*documents, {"malformed": start}]))
    ends = Positions(opened.log.end(VALIDATED), opened.log.end(DEAD_LETTERS))

    command = [sys.executable, str(VICTIMS), str(tmp_path), str(seed), str(KILLS)]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60 + 10 * KILLS
    )

    report = json.loads(ran.stdout.splitlines()[-1])
    print(f"seed {seed}: {report}")
    assert report["kills"] == KILLS
    assert report["conflicts"] > 0, "the two writers never met: the test proves nothing"
    lake = open_lake(tmp_path / "lake", registry)
    LakeWriter(lake, opened.log, gate).write_up_to(ends)
    for ref in lake.layouts:
        compact(lake, lake.name(ref))
    found = Counter(stored.offset for stored in LakeReader(lake, gate).all_events())
    assert set(found) == set(range(ends.validated))
    assert set(found.values()) == {1}
    dead = lake.table(("agentflow", "dead_letters")).scan().to_arrow()["log_offset"].to_pylist()
    assert sorted(dead) == list(range(ends.dead_letters))


def payment(number: int) -> dict[str, object]:
    data = {"payment_id": f"p{number}", "order_id": f"o{number}", "amount": "9.99"}
    return {
        "id": f"payment-{number}",
        "source": "/payments",
        "type": "payment.captured",
        "data": {**data, "currency": "EUR"},
    }


def view(number: int) -> dict[str, object]:
    return {
        "id": f"view-{number}",
        "source": "/web",
        "type": "page.viewed",
        "data": {"session_id": f"s{number}", "page": "/"},
    }
