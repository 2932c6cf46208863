"""What an event would do, computed on copies: nothing is stored, nothing moves."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agentflow.events import Event, RawEvent
from agentflow.metrics import measure
from agentflow.metrics.arithmetic import EXACT, Value
from agentflow.metrics.evaluator import Cell
from agentflow.metrics.plan import MetricPlan
from processing.definitions import Definitions
from processing.live import GroupLog, LiveEngine
from processing.live.corrections import Effect
from quality.verdict import Rejected, Verdict


@dataclass(frozen=True, slots=True)
class Move:
    """How one number of one metric would change, over the metric's first window.

    `moved` is after minus before, where both are numbers.
    """

    plan: MetricPlan
    window: str
    dimensions: Mapping[str, object]
    before: Value
    after: Value
    moved: Value


@dataclass(frozen=True, slots=True)
class DryRun:
    """The verdict on an event and what it would move; nothing if it is refused or a duplicate."""

    verdict: Verdict
    duplicate: bool
    moves: tuple[Move, ...]


def dry_run(
    raw: RawEvent,
    *,
    definitions: Definitions,
    engine: LiveEngine,
    known: Callable[[bytes], bool],
    groups: GroupLog,
    now_us: int,
) -> DryRun:
    """Judge *raw* and compute its moves against the present live state."""
    verdict = definitions.gate.judge(raw)
    if isinstance(verdict, Rejected):
        return DryRun(verdict, duplicate=False, moves=())
    if known(verdict.identity):
        return DryRun(verdict, duplicate=True, moves=())
    event = verdict.event
    effects = _effects(event, definitions, engine, groups)
    trial = LiveEngine(
        list(engine.plans.values()), corrections=definitions.corrections(groups), now_us=now_us
    )
    with decimal.localcontext(EXACT):
        trial.apply_effects(event.tenant, effects)
        return DryRun(verdict, duplicate=False, moves=tuple(_moves(trial, engine, event, now_us)))


def _effects(
    event: Event, definitions: Definitions, engine: LiveEngine, groups: GroupLog
) -> list[Effect]:
    corrections = definitions.corrections(groups)
    own = [Effect(event, None, event)]
    if not corrections.concerns(event.ref):
        return own
    effects = corrections.effects(event, engine.next_offset)
    return effects if corrections.corrected_by(event.ref) is None else own + effects


def _moves(trial: LiveEngine, engine: LiveEngine, event: Event, now_us: int) -> list[Move]:
    moves = []
    for metric, plan in engine.plans.items():
        change = trial.read(metric, event.tenant, now_us=now_us)
        if change.moves == 0:
            continue
        window = plan.windows[0].name
        present = engine.read(metric, event.tenant, now_us=now_us)
        held = present.group(window, by=plan.dimensions)
        for dims, delta in change.group(window, by=plan.dimensions).items():
            before = held.get(dims)
            after = present.merged([cell for cell in (before, delta) if cell is not None])
            moves.append(_move(plan, window, dims, before, after))
    return moves


def _move(
    plan: MetricPlan, window: str, dims: tuple[object, ...], before: Cell | None, after: Cell
) -> Move:
    old = measure(plan, before).value if before is not None else None
    new = measure(plan, after).value
    zero: Value = 0 if plan.whole else None
    start = old if old is not None else zero
    moved: Value = None
    if new is not None:
        moved = new - start if start is not None else new
    return Move(plan, window, dict(zip(plan.dimensions, dims, strict=True)), old, new, moved)
