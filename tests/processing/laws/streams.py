"""Random streams: what arrives, when, what is read in between; a pure function of a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from agentflow.contracts import Registry
from agentflow.events import Event, EventRef, RawEvent
from processing.definitions import Definitions
from quality import Accepted, Gate
from tests.processing.laws.events import encoded, random_age_us, random_document, snapped

START_US = 1_772_409_540_000_000  # 2026-03-01T23:59:00Z: midnight, and a month's end, are near
LONGEST = 120
MetricId = tuple[str, int]


@dataclass(frozen=True)
class Arrive:
    """An accepted event arrives at the log."""

    event: Event
    identity: bytes
    raw: RawEvent = field(repr=False)


@dataclass(frozen=True)
class Wait:
    """Time passes; a negative duration is a clock that is set back."""

    duration_us: int


@dataclass(frozen=True)
class Read:
    """Somebody reads, which folds what has happened into windows; everything without a name."""

    metric: MetricId | None
    tenant: str


@dataclass(frozen=True)
class Redeliver:
    """The last `count` events of the log are applied again."""

    count: int


@dataclass(frozen=True)
class Cut:
    """Metrics of a tenant are cut here, and compared in the end; all of them without a name."""

    tenant: str
    metric: MetricId | None = None


@dataclass(frozen=True)
class Restart:
    """The engine is dumped into a snapshot, and another one goes on from it."""


Step = Arrive | Wait | Read | Redeliver | Cut | Restart


@dataclass(frozen=True)
class Stream:
    """What happens, in order, to the metrics under test."""

    seed: int
    metrics: tuple[MetricId, ...]
    steps: Sequence[Step]


def random_stream(
    seed: int, definitions: Definitions, metrics: Sequence[MetricId], *, longest: int = LONGEST
) -> Stream:
    """Return the stream of *seed*: late, early, doubled and reordered events, and what is asked."""
    random = Random(seed)
    registry = definitions.registry
    producer = Producer(random, registry, definitions.gate)
    refs = sorted(ref for metric in metrics for ref in registry.metrics[metric].refs)
    weights = {ref: random.choice([1, 1, 3]) for ref in refs}
    others = sorted(registry.events.keys() - set(refs)) or refs
    tenants = random.choice([["t"], ["t"], ["t", "u"], ["t", "u", "v"]])
    now_us = START_US + random.choice([0, random.randrange(86_400_000_000)])
    chance = random.choice([0.05, 0.2, 0.5])
    steps: list[Step] = []
    for number in range(random.randrange(longest)):
        draw = random.random()
        if draw < chance:
            steps.append(_between(random, metrics, tenants))
            if isinstance(steps[-1], Wait):
                now_us = max(now_us + steps[-1].duration_us, START_US)
        elif draw < chance + 0.05:
            steps += _again(random, steps)
        else:
            ref = random.choices(list(weights), list(weights.values()))[0]
            ref = random.choice(others) if random.random() < 0.05 else ref
            tenant = random.choice(tenants)
            arrive = producer.send(ref, tenant=tenant, number=number, now_us=now_us)
            steps += [arrive] if arrive is not None else []
    _reorder(random, steps)
    steps += [Wait(random.choice([0, 0, 10**6, 10**8, 10**10, 10**11]))]
    steps += [Cut(tenant) for tenant in tenants]
    return Stream(seed, tuple(metrics), steps)


def _again(random: Random, steps: Sequence[Step]) -> list[Step]:
    """Return an event that arrived before: a duplicate."""
    arrived = [step for step in steps if isinstance(step, Arrive)]
    return [random.choice(arrived)] if arrived else []


def _between(random: Random, metrics: Sequence[MetricId], tenants: Sequence[str]) -> Step:
    draw = random.random()
    if draw < 0.5:
        second, minute, hour = 10**6, 6 * 10**7, 36 * 10**8
        span = random.choice(
            [1, second, 5 * second, minute, 15 * minute, hour, 25 * hour, 50 * hour, 200 * hour]
        )
        return Wait(random.choice([1, 1, 1, 1, -1]) * random.choice([span, random.randrange(span)]))
    if draw < 0.8:
        return Read(random.choice([None, None, *metrics]), random.choice(tenants))
    if draw < 0.9:
        return Redeliver(random.randint(1, 10))
    if draw < 0.97:
        return Restart()
    return Cut(random.choice(tenants), random.choice(list(metrics)))


def _reorder(random: Random, steps: list[Step]) -> None:
    """Let some events overtake others; what they say does not change."""
    for _ in range(random.choice([0, 0, len(steps) // 4])):
        first, second = random.randrange(len(steps)), random.randrange(len(steps))
        if isinstance(steps[first], Arrive) and isinstance(steps[second], Arrive):
            steps[first], steps[second] = steps[second], steps[first]


@dataclass(frozen=True)
class Producer:
    """Makes events that the gate accepts."""

    random: Random
    registry: Registry
    gate: Gate

    def send(self, ref: EventRef, *, tenant: str, number: int, now_us: int) -> Arrive | None:
        """Return an accepted event; None when chance makes none that its rules allow."""
        random, contract = self.random, self.registry.events[ref]
        for _ in range(60):
            occurred_us = snapped(random, now_us - random_age_us(random, contract))
            event_id = f"e{number}" if random.random() < 0.9 else random.choice("ab")
            document = random_document(random, contract, occurred_us=occurred_us, event_id=event_id)
            raw = RawEvent(encoded(document), tenant, now_us)
            verdict = self.gate.judge(raw)
            if isinstance(verdict, Accepted):
                return Arrive(verdict.event, verdict.identity, raw)
        return None


def unaccepted(definitions: Definitions, *, tries: int = 20) -> set[EventRef]:
    """Return event types of which no valid event could be made; the laws would be blind there."""
    producer = Producer(Random(1), definitions.registry, definitions.gate)
    return {
        ref
        for ref in definitions.registry.events
        if not any(
            producer.send(ref, tenant="t", number=number, now_us=START_US)
            for number in range(tries)
        )
    }
