"""Runs measurements in this process and prints JSON: `python -m tests.bench.one NAME …`."""

from __future__ import annotations

import argparse
import gc
import importlib
import sys

import msgspec

from tests.bench.figures import Measure

MEASUREMENTS = (
    "pipeline",
    "engine",
    "saving",
    "volume",
    "batches",
    "reads",
    "keys",
    "latency",
    "fan_out",
    "groups",
    "memory",
)
"""Modules of this package with a `measure`, in the order they are run."""


def measurement(name: str) -> Measure:
    """Return the measurement of that name."""
    module = importlib.import_module(f"tests.bench.{name}")
    measure: Measure = module.measure
    return measure


def main() -> int:
    """Run them, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=MEASUREMENTS, metavar="NAME")
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    figures = [found for name in options.names for found in measurement(name)(options.scale)]
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
    gc.unfreeze()  # or DuckDB tells on stderr of objects that nobody freed
    return 0


if __name__ == "__main__":
    sys.exit(main())
