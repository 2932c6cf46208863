"""Measurements: `python -m tests.bench` runs them all; `docs/benchmarks.md` keeps the numbers."""
