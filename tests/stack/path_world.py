"""What tests of the whole path ask of it: figures, events to send, and rows as they are stored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.request import urlopen

from agentflow.lint import load
from ingestion.generate import Profile, read_scenario
from stack.path import StreamPath
from tests.stack.kafka_topics import end_of
from tests.stack.lake_world import everything, located, opened

ACCEPTED = 'agentflow_processing_events_total{status="accepted"}'
STREAM_LAG = "agentflow_processing_stream_lag_events"
LAKE_LAG = "agentflow_processing_lake_lag_events"


def figure(path: StreamPath, name: str) -> int:
    """Return a figure that the platform has at hand."""
    with urlopen(f"{path.api.url}/metrics", timeout=30) as answer:  # noqa: S310 - loopback
        text = answer.read().decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return int(float(found[1])) if found else 0


def validated_end(path: StreamPath) -> int:
    """Return how many records the validated topic was given."""
    return end_of(path.config, "validated")


def good_lines(contracts: Path, *, seed: int, start_us: int, batch: int) -> Iterator[list[bytes]]:
    """Yield batches of different events, all of which are accepted."""
    profile = Profile(rate=1_000, duplicate=0, bad=0, late=0)
    world = read_scenario(contracts, load(contracts))
    events = world.generator(seed=seed, start_us=start_us, profile=profile).events()
    while True:
        yield [event.value for event in islice(events, batch)]


def stored(path: StreamPath, cache: Path) -> list[int]:
    """Return the offset of every row in the tables of events, ordered."""
    lake = opened(located(path.catalog), load(path.contracts), cache)
    offsets = everything(lake)
    lake.close()
    return offsets
