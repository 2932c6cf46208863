"""Moves every metric of every tenant, one event after another, in offset order."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Any

import msgspec

from agentflow.events import Event, EventRef
from agentflow.metrics import CellFunctions, MetricPlan, MetricState, compile_cells, compile_movers
from agentflow.metrics.arithmetic import EXACT
from agentflow.metrics.evaluator import BUCKET_US, Mover
from processing.live.corrections import Corrections, Effect

MetricId = tuple[str, int]
_FOLD_EVERY = 2_000
_STEPS_PER_EVENT = 2
"""More than an event can bring: what metrics are behind by is worked off while events come."""


class Moved(msgspec.Struct, frozen=True, gc=False):
    """A metric of a tenant moved; `moves` is its new revision."""

    tenant: str
    metric: MetricId
    moves: int


_ROUTE = itemgetter(2)


@dataclass(slots=True, eq=False)
class _Route:
    """Where events of one contract version go, for one tenant."""

    tenant: str
    add: Callable[..., None]
    retract: Callable[..., None]
    states: tuple[MetricState, ...]
    correctable: bool
    own: bool  # whether metrics read this event version directly
    arrival: list[int]


class LiveEngine:
    """The state of all metrics. One thread writes and reads; a batch is applied whole.

    Attributes:
        next_offset: The offset after the last applied event.
        watermark_us: The greatest event time seen, by tenant.
        arrivals: When the newest event of each type came, by tenant, as lists of one: routes write
            there. Types that no metric reads and that correct nothing are left out.
    """

    def __init__(
        self, plans: Sequence[MetricPlan], *, corrections: Corrections, now_us: int
    ) -> None:
        self.next_offset = 0
        self.watermark_us: dict[str, int] = {}
        self.arrivals: dict[str, dict[str, list[int]]] = {}
        self._corrections = corrections
        self._now_us = now_us
        self._since_fold = 0
        self._behind: dict[MetricState, None] = {}
        self._states: dict[str, dict[MetricId, MetricState]] = {}
        self._routes: dict[str, dict[type, _Route | None]] = {}
        self._install(plans)

    def _install(self, plans: Sequence[MetricPlan]) -> None:
        self.plans: dict[MetricId, MetricPlan] = {plan.id: plan for plan in plans}
        self._order = tuple(plans)
        self._movers: dict[EventRef, Mover] = compile_movers(plans)
        self._functions: dict[MetricId, CellFunctions] = {
            plan.id: compile_cells(plan) for plan in plans
        }

    # -- writing

    def apply(self, events: Iterable[tuple[int, Event]], *, now_us: int) -> list[Moved]:
        """Apply events in offset order and return which metrics moved.

        Events at offsets below `next_offset` were applied before and are skipped, so redelivery
        is harmless. An event that no contract names moves nothing.
        """
        self._now_us = max(now_us, self._now_us)
        routed = self._routed(events)
        touched = dict.fromkeys(map(_ROUTE, routed))
        with decimal.localcontext(EXACT):
            for offset, event, route in routed:
                if route.correctable:
                    self._apply_group(event, offset, route, touched)
                else:
                    route.add(event.data, event.occurred_us // BUCKET_US, event, route.states)
            self._since_fold += len(routed)
            if self._since_fold >= _FOLD_EVERY:
                self._find_behind()
            if self._behind:
                self._catch_up(_STEPS_PER_EVENT * len(routed))
        return _announce(touched)

    def _routed(self, events: Iterable[tuple[int, Event]]) -> list[tuple[int, Event, _Route]]:
        """Advance to the end of *events* and return those that were not seen and move something.

        The groups of all corrections among them are looked up at once.
        """
        routed = []
        correctable = []
        next_offset, watermark_us, routes = self.next_offset, self.watermark_us, self._routes
        for offset, event in events:
            if offset < next_offset:
                continue
            next_offset = offset + 1
            try:
                route = routes[event.tenant][event.data.__class__]
            except KeyError:
                route = self._route(event)
            if route is None:
                continue
            routed.append((offset, event, route))
            route.arrival[0] = event.ingested_us
            if route.correctable:
                correctable.append((offset, event))
            if event.occurred_us > watermark_us.get(route.tenant, -1):
                watermark_us[route.tenant] = event.occurred_us
        self.next_offset = next_offset
        if correctable:
            self._corrections.prepare(correctable)
        return routed

    def _apply_group(
        self, event: Event, offset: int, route: _Route, touched: dict[_Route, None]
    ) -> None:
        if route.own and self._corrections.corrected_by(event.ref) is not None:
            route.add(event.data, event.occurred_us // BUCKET_US, event, route.states)
        self._apply_effects(self._corrections.effects(event, offset), touched)

    def trial(self, tenant: str, effects: Iterable[Effect]) -> Mapping[MetricId, MetricState]:
        """Return what *effects* alone would do to each metric of a tenant; nothing moves here."""
        trial = LiveEngine((), corrections=self._corrections, now_us=self._now_us)
        trial.plans, trial._order = self.plans, self._order
        trial._movers, trial._functions = self._movers, self._functions
        with decimal.localcontext(EXACT):
            trial._apply_effects(effects, {})
        return trial._tenant(tenant)

    def _apply_effects(self, effects: Iterable[Effect], touched: dict[_Route, None]) -> None:
        for effect in effects:
            effective = effect.after or effect.before
            base = self._route(effective) if effective is not None else None
            if base is None:
                continue
            touched[base] = None
            if effect.before is not None:
                bucket = effect.before.occurred_us // BUCKET_US
                base.retract(effect.before.data, bucket, effect.cause, base.states)
            if effect.after is not None:
                bucket = effect.after.occurred_us // BUCKET_US
                base.add(effect.after.data, bucket, effect.cause, base.states)
            if effect.before is not None and effect.after is not None:
                _name_once(effect.cause, base.states)

    def _route(self, event: Event) -> _Route | None:
        try:
            return self._routes[event.tenant][event.data.__class__]
        except KeyError:
            route = self._make_route(event)
            self._routes.setdefault(event.tenant, {})[event.data.__class__] = route
            return route

    def _make_route(self, event: Event) -> _Route | None:
        mover = self._movers.get(event.ref)
        correctable = self._corrections.concerns(event.ref)
        if mover is None and not correctable:
            return None
        states = self._tenant(event.tenant)
        chosen = tuple(states[self._order[index].id] for index in mover.plans) if mover else ()
        add = mover.add if mover else _nothing
        retract = mover.retract if mover else _nothing
        own = mover is not None
        arrival = self.arrivals.setdefault(event.tenant, {}).setdefault(str(event.ref), [0])
        return _Route(event.tenant, add, retract, chosen, correctable, own=own, arrival=arrival)

    def _tenant(self, tenant: str) -> dict[MetricId, MetricState]:
        states = self._states.get(tenant)
        if states is None:
            states = self._states[tenant] = {
                plan.id: MetricState(plan, self._functions[plan.id], now_us=self._now_us)
                for plan in self._order
            }
        return states

    def _find_behind(self) -> None:
        self._since_fold = 0
        for states in self._states.values():
            self._behind |= dict.fromkeys(state for state in states.values() if state.behind)

    def _catch_up(self, steps: int) -> None:
        """Fold in some of what happened where much did: each batch pays for as much as it brings.

        All at once held the event loop for as long as there are cells.
        """
        for state in list(self._behind):
            work = state.refreshing(self._now_us)
            if sum(1 for _ in islice(work, steps)) < steps:
                del self._behind[state]

    # -- reading

    def state(self, metric: MetricId, tenant: str) -> MetricState:
        """Return the state of a metric, refreshed to the engine's clock; new tenants start empty.

        Raises:
            KeyError: If the engine does not keep that metric.
        """
        return self._tenant(tenant)[metric]

    def read(self, metric: MetricId, tenant: str, *, now_us: int) -> MetricState:
        """Return the state with its windows moved to *now_us*."""
        self._now_us = max(now_us, self._now_us)
        state = self.state(metric, tenant)
        with decimal.localcontext(EXACT):
            state.refresh(self._now_us)
        return state

    def refreshing(self, metric: MetricId, tenant: str, *, now_us: int) -> Iterator[None]:
        """Do what `read` does first, little by little: go through it before, if it may take long.

        The steps add decimals: `processing.runtime.slices` sets the context for that.
        """
        self._now_us = max(now_us, self._now_us)
        return self.state(metric, tenant).refreshing(self._now_us)

    def laborious(self, metric: MetricId, tenant: str, *, now_us: int, most: int) -> bool:
        """Tell whether `read` may take more than *most* steps."""
        return self.state(metric, tenant).laborious(max(now_us, self._now_us), most=most)

    def settled(self, metric: MetricId, tenant: str) -> MetricState:
        """Return the state with everything folded in, at the engine's own clock."""
        return self.read(metric, tenant, now_us=self._now_us)

    def arrived_us(self, tenant: str, refs: Iterable[EventRef]) -> int | None:
        """Return when the newest event of one of these types came; None before any did."""
        held = self.arrivals.get(tenant, {})
        return max((held[name][0] for name in map(str, refs) if name in held), default=0) or None

    def tenants(self) -> tuple[str, ...]:
        """Return the tenants seen so far, sorted."""
        return tuple(sorted(self._states))

    def clear(self, corrections: Corrections) -> None:
        """Forget everything, as if nothing had been applied yet."""
        self.next_offset = 0
        self.watermark_us = {}
        self.arrivals = {}
        self._corrections = corrections
        self._since_fold = 0
        self._behind = {}
        self._states = {}
        self._routes = {}

    # -- contracts change

    def replace(
        self,
        plans: Sequence[MetricPlan],
        *,
        kept: frozenset[MetricId],
        corrections: Corrections,
        backfilled: Mapping[str, Mapping[MetricId, MetricState]],
    ) -> None:
        """Swap to another set of plans between two batches.

        States of the plans in *kept* (same meaning as before) stay; *backfilled* holds, by tenant,
        those of the others, which must have seen the log up to `next_offset`.
        """
        self._install(plans)
        self._corrections = corrections
        self._routes.clear()
        self._behind.clear()
        for tenant in {*self._states, *backfilled}:
            held = self._states.get(tenant, {})
            fresh = backfilled.get(tenant, {})
            self._states[tenant] = {
                plan.id: (
                    held[plan.id].under(plan)
                    if plan.id in kept and plan.id in held
                    else fresh.get(plan.id)
                    or MetricState(plan, self._functions[plan.id], now_us=self._now_us)
                )
                for plan in plans
            }

    def export(self) -> Mapping[str, Mapping[MetricId, MetricState]]:
        """Return the states by tenant, for snapshots and swaps; not a copy."""
        return self._states


def _name_once(cause: object, states: Iterable[MetricState]) -> None:
    """Drop the second of two equal causes: taking back and counting again is one move."""
    for state in states:
        causes = state.causes
        if len(causes) > 1 and causes[-1] is cause and causes[-2] is cause:
            causes.pop()


def _announce(touched: Iterable[_Route]) -> list[Moved]:
    moved = []
    for route in touched:
        for state in route.states:
            if state.moves != state.announced:
                state.announced = state.moves
                moved.append(Moved(route.tenant, state.plan.id, state.moves))
    return moved


def _nothing(*_: Any) -> None:  # noqa: ANN401 - stands in for a generated mover
    """Move nothing: an event that only corrects others."""
