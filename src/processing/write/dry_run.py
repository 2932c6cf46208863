"""What an event would do, computed on copies: nothing is stored, nothing moves."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from agentflow.events import Event, RawEvent
from agentflow.metrics import MetricState, measure
from agentflow.metrics.arithmetic import EXACT, ExactValue
from agentflow.metrics.distincts import Key
from agentflow.metrics.evaluator import Cell
from agentflow.metrics.plan import MetricPlan
from processing.definitions import Definitions
from processing.live import GroupLog, LiveEngine, MetricId
from processing.live.corrections import Effect
from processing.write.identities import Known
from quality.verdict import Accepted, Rejected, Verdict


@dataclass(frozen=True, slots=True)
class Move:
    """How one number of one metric would change, over its first window that has the event in it.

    `moved` is after minus before, where both are numbers.
    """

    plan: MetricPlan
    window: str
    dimensions: Mapping[str, object]
    before: ExactValue
    after: ExactValue
    moved: ExactValue


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
    known: Callable[[Accepted], Known | None],
    groups: GroupLog,
    now_us: int,
) -> DryRun:
    """Judge *raw* and compute its moves against the present live state."""
    verdict = definitions.gate.judge(raw)
    if isinstance(verdict, Rejected):
        return DryRun(verdict, duplicate=False, moves=())
    if (before := known(verdict)) is not None:
        return DryRun(before.conflict or verdict, duplicate=before.conflict is None, moves=())
    event = verdict.event
    trial = engine.trial(event.tenant, _effects(event, definitions, engine, groups))
    with decimal.localcontext(EXACT):
        moves = tuple(_moves(trial, engine, event.tenant, now_us))
    return DryRun(verdict, duplicate=False, moves=moves)


def _effects(
    event: Event, definitions: Definitions, engine: LiveEngine, groups: GroupLog
) -> list[Effect]:
    corrections = definitions.corrections(groups)
    own = [Effect(event, None, event)]
    if not corrections.concerns(event.ref):
        return own
    effects = corrections.effects(event, engine.next_offset)
    return effects if corrections.corrected_by(event.ref) is None else own + effects


def _moves(
    trial: Mapping[MetricId, MetricState], engine: LiveEngine, tenant: str, now_us: int
) -> Iterator[Move]:
    for metric, changed in trial.items():
        if changed.moves == 0:
            continue
        present = engine.read(metric, tenant, now_us=now_us)
        for window in present.plan.windows:
            changes = changed.pending(*present.bounds(window.name))
            if changes:
                yield from _cell_moves(present, window.name, changes)
                break


def _cell_moves(present: MetricState, window: str, changes: Mapping[Key, Cell]) -> Iterator[Move]:
    plan = present.plan
    for dims, change in changes.items():
        before = present.merged(present.cell(window, dims))
        after = present.merged([before, change])
        if before == after:
            continue
        named = dict(zip(plan.dimensions, dims, strict=True))
        old, new = measure(plan, before).value, measure(plan, after).value
        moved = new - old if old is not None and new is not None else None
        yield Move(plan, window, named, old, new, moved)
