"""Runs the examples that metrics carry, through the same gate and engine as real events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

import msgspec

from agentflow.clock import from_datetime, to_rfc3339
from agentflow.contracts import MetricContract, Registry
from agentflow.contracts.model import MetricExample
from agentflow.dimension_values import spelled
from agentflow.events import Event, RawEvent
from agentflow.metrics import MetricPlan, compile_cells, measure, plan_metric
from processing.live import Corrections, LiveEngine
from processing.live.corrections import NoGroupLog
from quality.gate import Gate
from quality.verdict import Accepted

_DEFAULT_US = from_datetime(datetime.fromisoformat("2026-01-01T00:00:00Z"))
"""When the events of examples happen that do not say when; nothing depends on it."""
_ENVELOPE = ("id", "source", "time")
_RESERVED = (*_ENVELOPE, "tenant")
_TENANT = "example"
ExpectedValue = Decimal | int | None


@dataclass(frozen=True, slots=True)
class Expectation:
    """One line of an example's `then`, and what came out.

    Attributes:
        where: The dimension filter as it is written, `currency=EUR`.
        problem: Why nothing came out: an event of the example was rejected.
    """

    metric: str
    version: int
    example: str
    where: str
    expected: str | int | None
    value: ExpectedValue
    problem: str | None = None

    @property
    def met(self) -> bool:
        """Whether the value is what the example says, to the last digit."""
        return self.problem is None and _equal(self.expected, self.value)


def run_examples(registry: Registry, metric: MetricContract) -> Iterator[Expectation]:
    """Run every example of a metric, each on an engine of its own, over all time."""
    gate = Gate(registry)
    endless = metric.model_copy(update={"windows": ("all",)})
    plan = plan_metric(endless, events=registry.events)
    for number, example in enumerate(metric.examples, 1):
        name = example.name or f"example {number}"
        events, problem = _judged(example, gate, registry)
        engine = _engine(plan, gate, registry)
        engine.apply(enumerate(events), now_us=_DEFAULT_US)
        for where, expected in example.then.items():
            value = None if problem else _value(engine, plan, where)
            yield Expectation(metric.name, metric.version, name, where, expected, value, problem)


def _engine(plan: MetricPlan, gate: Gate, registry: Registry) -> LiveEngine:
    corrections = Corrections(registry.events.values(), amend=gate.amended, log=NoGroupLog())
    return LiveEngine([plan], corrections=corrections, now_us=_DEFAULT_US)


def _judged(
    example: MetricExample, gate: Gate, registry: Registry
) -> tuple[list[Event], str | None]:
    """Return the events of an example that count once, or why one of them is rejected."""
    events: list[Event] = []
    seen: set[bytes] = set()
    for position, given in enumerate(example.given):
        for written, data in given.items():
            verdict = gate.judge(_raw(written, data, position, registry))
            if not isinstance(verdict, Accepted):
                words = "; ".join(f"{v.pointer} {v.message}" for v in verdict.violations)
                return [], f"event {position + 1} ({written}) is rejected: {words}"
            if verdict.identity not in seen:
                seen.add(verdict.identity)
                events.append(verdict.event)
    return events, None


def _raw(written: str, data: Mapping[str, object], position: int, registry: Registry) -> RawEvent:
    kind, _, version = written.partition("@")
    envelope: dict[str, object] = {"id": f"event-{position}", "source": "urn:example", "type": kind}
    envelope |= {name: data[name] for name in _ENVELOPE if name in data}
    if version:
        envelope["dataversion"] = version
    contract = registry.event(kind, int(version) if version else None)
    fields = {name: value for name, value in data.items() if name not in _RESERVED}
    when = data.get("time", data.get(contract.event_time or ""))
    received_us = _instant_us(when)
    envelope.setdefault("time", to_rfc3339(received_us))
    envelope["data"] = fields
    tenant = str(data.get("tenant", _TENANT))
    return RawEvent(msgspec.json.encode(envelope), tenant, received_us)


def _value(engine: LiveEngine, plan: MetricPlan, where: str) -> ExpectedValue:
    wanted = dict(part.split("=", 1) for part in where.split(",") if part)
    names = tuple(wanted)
    state = engine.read(plan.id, _TENANT, now_us=_DEFAULT_US)
    for key, cell in state.group("all", by=names, where={}).items():
        if [spelled(part) for part in key] == list(wanted.values()):
            return measure(plan, cell).value
    return measure(plan, compile_cells(plan).empty()).value


def _instant_us(when: object) -> int:
    """Return when an event arrives: as it happens, so that it is neither early nor late."""
    try:
        instant = when if isinstance(when, datetime) else datetime.fromisoformat(str(when))
        return from_datetime(instant)
    except (ValueError, TypeError):  # no time, or one that the gate will refuse
        return _DEFAULT_US


def _equal(expected: str | int | None, value: ExpectedValue) -> bool:
    if expected is None or value is None:
        return expected is None and value is None
    try:
        return Decimal(expected) == value
    except InvalidOperation:
        return False
