"""Runs every measurement, each in a process of its own: `python -m tests.bench`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from tests.bench.figures import Figure
from tests.bench.machine import load_average, machine
from tests.bench.one import MEASUREMENTS
from tests.bench.report import BUILD, print_table, record, rewrite
from tests.bench.world import ROOT

_decode = msgspec.json.Decoder(list[Figure]).decode


def main() -> int:
    """Run what was asked for; exit with 0 whether goals are met or not."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=MEASUREMENTS)
    parser.add_argument("--scale", type=float, default=1.0, help="How long, as a share of all.")
    parser.add_argument("--build", type=Path, default=BUILD, help="Where bench.json goes.")
    parser.add_argument("--docs", action="store_true", help="Rewrite docs/benchmarks.md as well.")
    options = parser.parse_args()
    seen = dict(machine())
    figures: list[Figure] = []
    for name in options.only:
        measured = _run(name, options.scale)
        print_table(measured)
        sys.stdout.flush()
        figures += measured
    seen["load_after"] = load_average()
    record(figures, name="bench", machine=seen, build=options.build)
    if options.docs:
        rewrite(figures, seen)
    return 0


def _run(name: str, scale: float) -> list[Figure]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.one", name, "--scale", str(scale)],
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    )
    return _decode(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
