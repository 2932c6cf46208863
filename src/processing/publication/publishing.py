"""New contracts while events keep arriving: backfill, compare, swap.

A new or changed metric is computed from everything there is (lake, then log) on an engine of its
own beside the live one, compared with a recompute from the lake, brought to the live position, and
only then swapped in, between two commits. Metrics whose meaning did not change keep their state.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from agentflow.contracts import Registry
from agentflow.errors import ContractError
from control_store.changelog.port import ContractChange
from processing.definitions import Definitions
from processing.history import History
from processing.lake import LakeReader
from processing.live import LiveEngine, MetricId
from processing.live.groups import LoggedGroups
from processing.platform import Platform
from processing.recovery.rebuild import Progress, feed, logged_events, no_progress, past_events
from processing.verification.checks import Check, compare, question, take_cut

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What was done for one metric.

    Attributes:
        events: Events read again, those of other types included.
        numbers: Numbers compared with the recompute from the lake, all equal.
        catch_up_ms: How long intake waited while the last events were applied and the swap made.
    """

    metric: MetricId
    events: int
    numbers: int
    catch_up_ms: float


@dataclass(frozen=True, slots=True)
class Published:
    """The outcome of a publication: what changed, and the metrics that were computed again."""

    changes: Sequence[ContractChange]
    metrics: Sequence[Backfilled]
    removed: Sequence[MetricId]


async def publish(
    platform: Platform, registry: Registry, *, progress: Progress = no_progress
) -> Published:
    """Put *registry* in force.

    Raises:
        ContractError: The contracts do not compile, do not fit the lake, or a backfilled metric
            differs from the recompute; nothing was changed then.
        UnavailableError: The platform is not running, or its control store is away.
        StorageError: The control store cannot be read.
    """
    platform.require_ready()
    await asyncio.to_thread(platform.require_control)
    old = platform.definitions
    _require_events(old.registry, registry)
    new = Definitions.compile(registry)
    fresh = [
        metric for metric, meaning in new.meanings.items() if old.meanings.get(metric) != meaning
    ]
    await asyncio.to_thread(platform.parts.lake.adopt, registry, new.gate)
    reader = LakeReader(platform.parts.reader.lake, new.gate)
    history = History(
        reader,
        platform.parts.log,
        gate=new.gate,
        registry=registry,
        activity=platform.parts.supervisor.activity("history", "history"),
    )
    groups = LoggedGroups(platform.parts.log, new.gate)
    trial = LiveEngine(
        [new.plans[metric] for metric in fresh],
        corrections=new.corrections(groups),
        now_us=platform.clock.now_us(),
    )
    count, checks = 0, list[Check]()
    if fresh:
        count = await asyncio.to_thread(_backfill, platform, trial, reader, new, progress)
        checks = await asyncio.to_thread(_compare, platform, trial, history)
        await asyncio.to_thread(_follow, platform, trial, new)
    async with platform.intake.exclusive():
        started = time.perf_counter()
        if fresh:
            _follow(platform, trial, new)
        platform.swap(
            new,
            parts=replace(platform.parts, reader=reader, history=history),
            backfilled=trial.export(),
        )
        catch_up_ms = (time.perf_counter() - started) * 1000
    changes = await asyncio.to_thread(record_changes, platform, registry, known=old.registry)
    log.info("contracts.published", changes=len(changes), backfilled=len(fresh))
    return Published(
        changes,
        [_summary(metric, count, checks, catch_up_ms) for metric in fresh],
        [metric for metric in old.plans if metric not in new.plans],
    )


def _require_events(old: Registry, new: Registry) -> None:
    """Refuse to take away an event that the log and the lake hold under its contract.

    Raises:
        ContractError: Naming the events that are missing.
    """
    missing = sorted(str(ref) for ref in old.events.keys() - new.events.keys())
    if missing:
        raise ContractError(
            f"events in force cannot be taken away: {', '.join(missing)}",
            hint="Set their status to deprecated, with a sunset; stored events need the contract.",
        )


def _backfill(
    platform: Platform,
    trial: LiveEngine,
    reader: LakeReader,
    new: Definitions,
    progress: Progress,
) -> int:
    events = past_events(reader, platform.parts.log, new.gate)
    total = platform.engine.next_offset
    return feed(trial, events, clock=platform.clock, total=total, progress=progress)


def _follow(platform: Platform, trial: LiveEngine, new: Definitions) -> None:
    tail = logged_events(platform.parts.log, new.gate, start=trial.next_offset)
    feed(trial, tail, clock=platform.clock, total=platform.engine.next_offset)


def _compare(platform: Platform, trial: LiveEngine, history: History) -> list[Check]:
    platform.verification.flush_lake(trial.next_offset)
    checks = []
    for tenant in trial.tenants():
        for metric, plan in trial.plans.items():
            state = trial.read(metric, tenant, now_us=platform.clock.now_us())
            for window in plan.windows:
                cut = take_cut(
                    state,
                    tenant=tenant,
                    window=window.name,
                    next_offset=trial.next_offset,
                    by=plan.dimensions,
                    where={},
                )
                checks.append(compare(cut, history.rows(plan, question(cut), tail=False)))
    wrong = [check for check in checks if not check.equal]
    if wrong:
        names = sorted({check.cut.plan.contract.name for check in wrong})
        raise ContractError(
            f"backfill of {', '.join(names)} differs from the recompute; nothing was published",
            hint="This is a defect of AgentFlow: please report it with the contracts.",
        )
    return checks


def _summary(
    metric: MetricId, events: int, checks: Sequence[Check], catch_up_ms: float
) -> Backfilled:
    numbers = sum(check.numbers for check in checks if check.cut.plan.id == metric)
    return Backfilled(metric, events, numbers, round(catch_up_ms, 3))


def record_changes(
    platform: Platform, registry: Registry, *, known: Registry | None
) -> list[ContractChange]:
    """Append contracts whose meaning is new to the changelog, now or later, and return them."""
    before = dict(known.fingerprints) if known else {}
    changes = []
    for key, fingerprint in registry.fingerprints.items():
        if before.get(key) == fingerprint:
            continue
        kind, name, version = key
        summary = "changed" if key in before else "added"
        change = ContractChange(platform.clock.now_us(), kind, name, version, fingerprint, summary)
        changes.append(change)
    return platform.recorder.record(changes)
