"""Measures the stream path: `python -m tests.bench.stream`, into `build/bench-stack.json`."""

from __future__ import annotations

import argparse
import importlib
import sys

from tests.bench.figures import Figure
from tests.bench.machine import load_average, machine
from tests.bench.report import print_table, record

MEASUREMENTS = ("path", "gate", "lake", "overload")


def main() -> int:
    """Run what was asked for, one after the other; exit with 0 whether goals are met or not."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stream", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=MEASUREMENTS)
    parser.add_argument("--scale", type=float, default=1.0, help="How long, as a share of all.")
    options = parser.parse_args()
    seen = dict(machine())
    figures: list[Figure] = []
    for name in options.only:
        measured = list(
            importlib.import_module(f"tests.bench.stream.{name}").measure(options.scale)
        )
        print_table(measured)
        sys.stdout.flush()
        figures += measured
        seen["load_after"] = load_average()
        record(figures, name="bench-stack", machine=seen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
