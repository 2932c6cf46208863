"""The live engine alone: how fast events move metrics, and what declaring more metrics costs.

Events go to metrics by their type, so a metric that an event does not move costs that event
nothing: 500 metrics are five for each of a hundred event types, and every event moves five.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentflow.contracts import EventContract, MetricContract
from agentflow.events import Event, EventRef
from agentflow.metrics import MetricPlan, plan_metric
from ingestion.generate import Generated
from processing.definitions import Definitions
from processing.live import Corrections, LiveEngine
from processing.live.corrections import NoGroupLog
from quality.shape import held_type
from quality.verdict import Accepted
from serving.wiring import tune_runtime
from tests.bench.figures import Figure
from tests.bench.world import TENANT, raw_events, shop, stream

EVENTS = 300_000
BATCH = 1_000
ROUNDS = 5
START_US = 1_795_252_800_000_000
_VALUES = (
    "sum({event}.amount)",
    "count({event})",
    "avg({event}.amount)",
    "sum({event}.units) filter (where units > 2)",
    "max({event}.units)",
)


@dataclass(frozen=True, slots=True)
class _Trade:
    """Contracts of one size, and events of theirs."""

    contracts: Sequence[EventContract]
    plans: Sequence[MetricPlan]
    events: Sequence[Event]


def measure(scale: float) -> Iterable[Figure]:
    """Measure the shop's metrics, then five and five hundred of the same make."""
    tune_runtime()
    count = max(int(EVENTS * scale), 2 * BATCH)
    rounds = ROUNDS if scale >= 1 else 1
    definitions = Definitions.compile(shop())
    events = judged(
        definitions, stream(definitions.registry, count, rate=10_000, start_us=START_US)
    )
    plans = list(definitions.plans.values())
    few, many = _trade(1, count), _trade(100, count)
    gc.collect()
    gc.freeze()
    spent = [_moves(plans, definitions.corrections(NoGroupLog()), events) for _ in range(rounds)]
    yield Figure(
        "live engine alone, one core",
        len(events) / min(spent),
        300_000,
        "events/s of CPU",
        "at_least",
        {"events": float(len(events)), "metrics": float(len(plans)), "rounds": float(rounds)},
    )
    pairs = [(_trade_cost(few), _trade_cost(many)) for _ in range(rounds)]
    best_few, best_many = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    yield Figure(
        "500 declared metrics over 5",
        best_many / best_few,
        1.5,
        "ratio",
        "at_most",
        {"with_5_us": best_few / count * 1e6, "with_500_us": best_many / count * 1e6},
    )


def judged(definitions: Definitions, generated: Sequence[Generated]) -> list[Event]:
    """Return what the gate accepts, each event once."""
    accepted: dict[bytes, Event] = {}
    for raw in raw_events(generated):
        verdict = definitions.gate.judge(raw)
        if isinstance(verdict, Accepted):
            accepted.setdefault(verdict.identity, verdict.event)
    return list(accepted.values())


def batches(events: Sequence[Event]) -> list[list[tuple[int, Event]]]:
    """Return events with their offsets, as many at a time as an intake hands over."""
    return [
        list(enumerate(events[start : start + BATCH], start))
        for start in range(0, len(events), BATCH)
    ]


def _moves(plans: Sequence[MetricPlan], corrections: Corrections, events: Sequence[Event]) -> float:
    """Return processor seconds to move *plans* by *events*."""
    engine = LiveEngine(plans, corrections=corrections, now_us=START_US)
    prepared = batches(events)
    begun = time.process_time()
    for batch in prepared:
        engine.apply(batch, now_us=batch[-1][1].ingested_us)
    return time.process_time() - begun


def _trade_cost(trade: _Trade) -> float:
    corrections = Corrections(trade.contracts, amend=_never, log=NoGroupLog())
    return _moves(trade.plans, corrections, trade.events)


def _never(event: Event, changes: object) -> Event:
    raise NotImplementedError(event, changes)


def _trade(types: int, count: int) -> _Trade:
    """Return *types* event types, five metrics for each, and *count* events spread over them."""
    contracts = [_event_contract(number) for number in range(types)]
    by_ref = {contract.ref: contract for contract in contracts}
    plans = [
        plan_metric(_metric_contract(number, contract.ref, value), events=by_ref)
        for contract in contracts
        for number, value in enumerate(_VALUES)
    ]
    data = [held_type(contract) for contract in contracts]
    regions = ("north", "south", "east", "west")
    events = [
        Event(
            f"e{n}", "urn:bench", contracts[n % types].name, 1, TENANT, START_US + n * 100,
            START_US + n * 100, data[n % types](n % 997, regions[n // types % 4], n % 7),
        )
        for n in range(count)
    ]  # fmt: skip
    return _Trade(contracts, plans, events)


def _event_contract(number: int) -> EventContract:
    return EventContract.model_validate(
        {
            "kind": "event",
            "name": f"trade{number}.made",
            "version": 1,
            "status": "approved",
            "owner": "bench",
            "description": "A trade.",
            "fields": {
                "amount": {"type": "integer", "required": True},
                "region": {"type": "string", "required": True},
                "units": {"type": "integer", "required": True},
            },
        }
    )


def _metric_contract(number: int, ref: EventRef, value: str) -> MetricContract:
    return MetricContract.model_validate(
        {
            "kind": "metric",
            "name": f"{ref.type.partition('.')[0]}_{number}",
            "version": 1,
            "status": "approved",
            "owner": "bench",
            "description": "A figure of a trade.",
            "unit": "units",
            "value": value.format(event=ref.type),
            "moved_by": [str(ref)],
            "dimensions": ["region"],
            "windows": ["5m", "1h", "24h"],
        }
    )
