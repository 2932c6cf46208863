"""Measurements of the stream path: `python -m tests.bench.stream`."""
