"""Whether a read costs the same after ten million events as after a hundred thousand.

The engine is fed directly, so that it takes a minute and not an hour: the same day's events, over
and over, each time as new ones of new visits a little later. The answer is made anew each time, as
after an event; what is kept ready costs nothing at any volume.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec

from agentflow.clock import ManualClock
from agentflow.events import Event
from processing.platform import Platform
from processing.wiring import open_platform
from serving.read.answer import Answerer
from serving.read.metric_query import MetricQuery, check_query
from serving.wiring import tune_runtime
from tests.bench.engine import judged
from tests.bench.figures import Figure, median
from tests.bench.world import SCRATCH, TENANT, shop, stream

FEW = 100_000
MANY = 10_000_000
BATCH = 1_000
REPEAT = 40
START_US = 1_795_252_800_000_000
SPAN_US = 6 * 3600 * 1_000_000
"""All events lie within as many hours, whatever their number."""
_PRIVATE = ("session_id", "order_id", "payment_id", "ticket_id", "cart_id")


def measure(scale: float) -> Iterable[Figure]:
    """Measure all shop metrics, each in its first and its last window, at both volumes."""
    tune_runtime()
    few, many = max(int(FEW * scale), 500), max(int(MANY * scale), 5_000)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=SCRATCH) as directory,
        _filled(Path(directory) / "few", few, few) as small_platform,
        _filled(Path(directory) / "many", many, few) as large_platform,
    ):
        small, large = _costs(small_platform, large_platform)
        small_cells, large_cells = _cells(small_platform), _cells(large_platform)
    ratios = {name: large[name] / small[name] for name in small}
    worst = max(ratios, key=lambda name: ratios[name])
    yield Figure(
        f"read cost, {MANY // 1_000_000} M events over {FEW // 1_000} k",
        sum(large.values()) / sum(small.values()),
        1.2,
        "ratio",
        "at_most",
        {
            "questions": float(len(small)),
            "mean_us_few": sum(small.values()) / len(small) * 1e6,
            "mean_us_many": sum(large.values()) / len(large) * 1e6,
            "median_ratio": median(list(ratios.values())),
            "worst_question": worst,
            "worst_ratio": ratios[worst],
            "cells_few": float(small_cells),
            "cells_many": float(large_cells),
        },
    )


@contextmanager
def _filled(directory: Path, count: int, variety: int) -> Iterator[Platform]:
    """Open a platform that has seen *count* events."""
    clock = ManualClock(START_US)
    platform = open_platform(directory, shop(), clock=clock)
    platform.ready = True
    try:
        _feed(platform, count, variety)
        clock.advance(timedelta(microseconds=SPAN_US))
        gc.collect()
        gc.freeze()
        yield platform
    finally:
        gc.unfreeze()
        platform.parts.close()


def _feed(platform: Platform, count: int, variety: int) -> None:
    events = judged(
        platform.definitions,
        stream(platform.registry, min(count, variety), rate=1_000, start_us=START_US),
    )
    offset = 0
    for batch in _batches(events, count):
        numbered = list(enumerate(batch, offset))
        offset += len(batch)
        platform.engine.apply(numbered, now_us=max(event.occurred_us for event in batch))


def _batches(events: Sequence[Event], count: int) -> Iterator[list[Event]]:
    """Yield *count* events in batches: the same again and again, each time as new ones."""
    gap_us = SPAN_US / count
    made = 0
    batch: list[Event] = []
    while made < count:
        turn = made // len(events)
        for event in events[: count - made]:
            made += 1
            at_us = START_US + int(made * gap_us)
            batch.append(_again(event, turn, at_us))
            if len(batch) == BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


def _again(event: Event, turn: int, at_us: int) -> Event:
    data = event.data
    changed = {
        name: f"{value}.{turn}"
        for name in _PRIVATE
        if (value := getattr(data, name, None)) is not None
    }
    if changed and turn:
        data = msgspec.structs.replace(data, **changed)
    return Event(
        event.id, event.source, event.type, event.version, event.tenant, at_us, at_us, data
    )


def _costs(small: Platform, large: Platform) -> tuple[dict[str, float], dict[str, float]]:
    """Return seconds for each question of both, which are asked in turn."""
    answerers = (Answerer(small), Answerer(large))
    costs: tuple[dict[str, float], dict[str, float]] = ({}, {})
    for (name, of_small), (_, of_large) in zip(_questions(small), _questions(large), strict=True):
        times = _times(answerers, (of_small, of_large))
        for found, each in zip(costs, times, strict=True):
            found[name] = median(each)
    return costs


def _questions(platform: Platform) -> Iterator[tuple[str, MetricQuery]]:
    for (name, version), plan in platform.engine.plans.items():
        windows = [window.name for window in plan.windows]
        for window in dict.fromkeys((windows[0], windows[-1])):
            by = (plan.currency,) if plan.currency else ()
            query = check_query(
                platform.definitions, name, version=version, window=window, where={}, by=by
            )
            yield f"{name}@{version} {window}", query


def _times(
    answerers: tuple[Answerer, Answerer], queries: tuple[MetricQuery, MetricQuery]
) -> tuple[list[float], list[float]]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEAT + 1):
        for answerer, question, taken in zip(answerers, queries, times, strict=True):
            begun = time.process_time()
            answerer.answer(question, TENANT)
            taken.append(time.process_time() - begun)
    return times[0][1:], times[1][1:]


def _cells(platform: Platform) -> int:
    return sum(
        state.cell_count()
        for states in platform.engine.export().values()
        for state in states.values()
    )
