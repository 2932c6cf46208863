"""Every measurement runs, if only for a moment, so that `make bench` works when it is wanted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.bench.figures import Figure, percentile
from tests.bench.one import MEASUREMENTS
from tests.bench.report import record, rewrite

ROOT = Path(__file__).parents[2]


SCALE = "0.001"
ALONE = "saving"
"""The one that is run as people run it; the others share a process, which imports once."""


def test_the_command_writes_figures(tmp_path: Path) -> None:
    """What people call, with the file it leaves."""
    command = [*(sys.executable, "-m", "tests.bench", "--only", ALONE), *("--scale", SCALE)]

    subprocess.run([*command, "--build", str(tmp_path)], check=True, cwd=ROOT)

    require_figures(json.loads((tmp_path / "bench.json").read_text()), least=1)


def require_figures(rows: list[dict[str, object]], *, least: int) -> None:
    assert len(rows) >= least
    for row in rows:
        assert list(row) == ["name", "value", "goal", "unit", "met"]
        assert isinstance(row["value"], float | int)
        assert row["value"] > 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("portion", [0, 1])
def test_each_measurement_gives_figures(portion: int, tmp_path: Path) -> None:
    """A measurement that nobody runs stops working without a sound; its size does not matter."""
    names = [name for name in MEASUREMENTS if name != ALONE][portion::2]
    command = [sys.executable, "-m", "tests.bench.one", *names, "--scale", SCALE]

    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT)

    figures = msgspec.json.decode(done.stdout, type=list[Figure])
    record(figures, name="bench", build=tmp_path)
    require_figures(json.loads((tmp_path / "bench.json").read_text()), least=len(names))


def test_what_was_never_seen_misses_its_goal(tmp_path: Path) -> None:
    """A time-out counts as infinite; JSON has no infinity, and null must not read as good."""
    timed_out = percentile([0.001, float("inf"), float("inf")], 0.5)
    figures = [Figure("latency", timed_out, 5.0, "ms", "at_most")]

    record(figures, name="bench", build=tmp_path)

    row = json.loads((tmp_path / "bench.json").read_text())[0]
    assert row == {"name": "latency", "value": None, "goal": 5.0, "unit": "ms", "met": False}


def test_only_the_generated_part_of_the_document_changes(tmp_path: Path) -> None:
    """What people wrote about the numbers stays."""
    parts = [
        *("before", "<!-- machine: generated -->", "old", "<!-- machine: end -->", "between"),
        *("<!-- figures: generated -->", "old", "<!-- figures: end -->", "after"),
    ]
    document = tmp_path / "benchmarks.md"
    document.write_text("\n".join(parts))

    figures = [Figure("reads", 0.8, 0.7, "ratio", "at_least")]
    rewrite(figures, {"cores": 2.0}, document=document)

    text = document.read_text()
    assert "old" not in text
    assert "| reads | 0.8 ratio | ≥ 0.7 | 1.14 | met |" in text
    assert [line for line in text.splitlines() if line in {"before", "between", "after"}] == [
        *("before", "between", "after")
    ]
