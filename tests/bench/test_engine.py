"""What the live engine costs: alone, with many metrics declared, and when it is read.

Absolute numbers are printed, ratios are asserted: `pytest tests/bench/test_engine.py -s`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from agentflow.contracts import Registry
from agentflow.contracts.model import EventContract, MetricContract
from agentflow.events import Event, RawEvent
from agentflow.lint import load
from processing.definitions import Definitions
from processing.live import LiveEngine
from processing.live.corrections import NoGroupLog
from quality import Accepted, Gate
from tests.processing.laws.events import encoded, random_document

pytestmark = pytest.mark.bench

NOW_US = 1_767_268_800_000_000
MIX = {
    "page.viewed": 40,
    "page.clicked": 25,
    "cart.item_added": 10,
    "payment.captured": 7,
    "order.created": 8,
    "payment.initiated": 6,
    "stock.changed": 4,
}
"""A shop's traffic: mostly views and clicks, few orders."""
Logged = list[tuple[int, Event]]


@pytest.fixture(scope="module")
def shop() -> Definitions:
    return Definitions.compile(load(Path("contracts")))


def stream(
    gate: Gate, contracts: Sequence[EventContract], weights: Sequence[int], count: int
) -> Logged:
    """Return accepted events at 1,000 a second, one of fifty late, ready to be applied."""
    random, events = Random(7), []
    while len(events) < count:
        contract = random.choices(contracts, weights)[0]
        late_us = random.randrange(600_000_000) if random.random() < 0.02 else 0
        occurred_us = NOW_US - (count - len(events)) * 1_000 - late_us
        document = random_document(
            random, contract, occurred_us=occurred_us, event_id=str(len(events))
        )
        data = document["data"]
        assert isinstance(data, dict)
        for name in data.keys() & {"order_id", "payment_id"}:
            data[name] = str(len(events))  # the laws use few keys, a shop has one for each order
        for name in data.keys() & {"session_id", "user_id"}:
            data[name] = f"{name}{random.randrange(2_000)}"
        verdict = gate.judge(RawEvent(encoded(document), "t", NOW_US))
        if isinstance(verdict, Accepted):
            events.append(verdict.event)
    return list(enumerate(events))


def engine_of(definitions: Definitions) -> LiveEngine:
    corrections = definitions.corrections(NoGroupLog())
    return LiveEngine(list(definitions.plans.values()), corrections=corrections, now_us=NOW_US)


def applied(definitions: Definitions, events: Logged) -> tuple[LiveEngine, float]:
    """Apply in batches of 1,000 and return the CPU seconds it took, best of three."""
    best, engine = float("inf"), engine_of(definitions)
    for _ in range(3):
        engine = engine_of(definitions)
        engine.apply(events[:1], now_us=NOW_US)
        started = time.process_time()
        for start in range(1, len(events), 1_000):
            engine.apply(events[start : start + 1_000], now_us=NOW_US)
        best = min(best, time.process_time() - started)
    return engine, best


def test_the_engine_alone_on_the_shop_mix(shop: Definitions) -> None:
    """Apply, then fold: reading is what folds, so both are part of the price."""
    contracts = [shop.registry.event(name) for name in MIX]
    events = stream(shop.gate, contracts, list(MIX.values()), 60_000)

    engine, seconds = applied(shop, events)
    started = time.process_time()
    for metric in engine.plans:
        engine.read(metric, "t", now_us=NOW_US)
    fold = time.process_time() - started

    rate = len(events) / seconds
    print(f"\napply {rate:,.0f} events/s, fold {fold * 1e6 / len(events):.2f} us an event at once")
    assert engine.next_offset == len(events)


@pytest.mark.parametrize("every", [100, 1_000, 10_000])
def test_the_price_of_reading_often(shop: Definitions, every: int) -> None:
    """All metrics are read after so many events; a fold merges by cell and not by event."""
    contracts = [shop.registry.event(name) for name in MIX]
    events = stream(shop.gate, contracts, list(MIX.values()), 20_000)
    engine = engine_of(shop)

    started = time.process_time()
    for start in range(0, len(events), every):
        engine.apply(events[start : start + every], now_us=NOW_US)
        for metric in engine.plans:
            engine.read(metric, "t", now_us=NOW_US)
    seconds = time.process_time() - started

    print(f"\nread every {every}: {seconds * 1e6 / len(events):.1f} us an event")
    assert engine.next_offset == len(events)


def declared(count: int) -> Definitions:
    """Return *count* metrics over as many event types, five to each."""
    common = {"version": 1, "status": "approved", "owner": "bench", "description": "For the bench."}
    fields = {
        "amount": {"type": "decimal", "scale": 2, "required": True},
        "place": {"type": "string", "enum": ["a", "b", "c", "d"], "required": True},
        "user_id": {"type": "string"},
    }
    types = [f"thing_{number}.happened" for number in range(count // 5)]
    values = ["count({})", "sum({}.amount)", "avg({}.amount)", "max({}.amount)"]
    values.append("count(distinct {}.user_id)")
    events = [
        EventContract.model_validate({"kind": "event", "name": name, "fields": fields, **common})
        for name in types
    ]
    metrics = [
        MetricContract.model_validate(
            {
                "kind": "metric",
                "name": f"metric_{number}",
                "unit": "things",
                "value": values[number % 5].format(types[number // 5]),
                "moved_by": [f"{types[number // 5]}@1"],
                "dimensions": ["place"],
                "windows": ["5m", "1h", "24h", "today", "all"],
                **common,
            }
        )
        for number in range(count)
    ]
    return Definitions.compile(Registry.of([*events, *metrics]))


def asking_each(definitions: Definitions, events: Logged) -> float:
    """Return what only asking every metric whether an event concerns it would cost."""
    scopes = [plan.scopes for plan in definitions.plans.values()]
    started, concerned = time.process_time(), 0
    for _, event in events:
        ref = event.ref
        for scope in scopes:
            concerned += ref in scope
    assert concerned == 5 * len(events)
    return time.process_time() - started


def test_five_hundred_metrics_cost_little_more_than_five() -> None:
    """An event costs what the metrics it moves cost; the others are never looked at."""
    seconds, asked = {}, 0.0
    for count in (5, 500):
        definitions = declared(count)
        contracts = list(definitions.registry.events.values())
        events = stream(definitions.gate, contracts, [1] * len(contracts), 30_000)
        seconds[count] = applied(definitions, events)[1]
        asked = asking_each(definitions, events)

    ratio = seconds[500] / seconds[5]
    print(f"\n500 metrics / 5 metrics: {ratio:.2f}; asking each: {asked / seconds[5]:.0f}")
    assert ratio < 2.5, "routed by event type it is about 1.3; a loop over metrics would be 50"
