"""The law suite is itself on trial: faults planted in the code under test must be noticed.

A dozen each time; all of them: `AGENTFLOW_LAW_MUTANTS=all pytest tests/processing/test_mutants.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.processing.laws.mutants import MUTANTS

ROOT = Path(__file__).parents[2]
AT_ONCE = 7
QUICK = {
    "sum not taken back",
    "filter forgotten",
    "window without its first step",
    "bucket that left is not subtracted",
    "currencies added up",
    "rank rounded down",
    "retraction ignored",
    "groups of tenants mixed",
    "amended event counted twice",
    "redelivery counted",
    "update loses against the original",
    "SQL: rank rounded down",
    "SQL: retraction ignored",
    "difference turned round",
}
ALL = os.environ.get("AGENTFLOW_LAW_MUTANTS") == "all"
CHOSEN = [mutant for mutant in MUTANTS if ALL or mutant.name in QUICK]
PORTIONS = [CHOSEN[start : start + AT_ONCE] for start in range(0, len(CHOSEN), AT_ONCE)]


def test_every_fault_fits_the_code() -> None:
    """Those that are not planted each time would change nothing, and nobody would know."""
    places = {each.module: find_spec(each.module) for each in MUTANTS}
    sources = {
        name: Path(str(found and found.origin)).read_text() for name, found in places.items()
    }

    assert [each.name for each in MUTANTS if each.old not in sources[each.module]] == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("portion", range(len(PORTIONS)))
def test_every_planted_fault_is_noticed(portion: int) -> None:
    """A sign, an edge, a rank, a tenant, a currency: each makes a number differ somewhere.

    The mutated modules are imported in another process; nothing of it reaches other tests.
    """
    names = [mutant.name for mutant in PORTIONS[portion]]

    done = subprocess.run(
        [sys.executable, "-m", "tests.processing.laws.mutants", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    streams: dict[str, int | None] = json.loads(done.stdout)
    assert streams.keys() == set(names)
    unnoticed = [name for name, stream in streams.items() if stream is None]
    assert not unnoticed, f"repeat with: python -m tests.processing.laws.mutants {unnoticed}"


def test_the_code_as_it_is_raises_no_alarm() -> None:
    """Else the faults above would prove nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.processing.laws.campaign", "--streams", "3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
