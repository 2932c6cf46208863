"""Every measurement runs, if only for a moment, so that `make bench` works when it is wanted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.figures import Figure, percentile
from tests.bench.one import MEASUREMENTS
from tests.bench.report import record, rewrite

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", MEASUREMENTS)
def test_each_measurement_gives_figures(name: str, tmp_path: Path) -> None:
    """A measurement that nobody runs stops working without a sound; its size does not matter."""
    command = [*(sys.executable, "-m", "tests.bench", "--only", name), *("--scale", "0.004")]

    subprocess.run([*command, "--build", str(tmp_path)], check=True, cwd=ROOT)

    written = json.loads((tmp_path / "bench.json").read_text())
    assert written
    for row in written:
        assert list(row) == ["name", "value", "goal", "unit", "met"]
        assert isinstance(row["value"], float | int)
        assert row["value"] > 0


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
