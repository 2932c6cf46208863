"""Journeys compiled into generators that yield waits and events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from random import Random
from typing import TypeAlias

import msgspec

from agentflow.contracts import EventContract, Registry
from agentflow.contracts.scope import declared_scope
from agentflow.expressions import ExpressionType, Scope, parse_scalar
from agentflow.expressions.python import NAMESPACE, PythonEmitter
from ingestion.generate.draws import DrawContext, Drawing, DrawnValue, State, drawing_of, type_of
from ingestion.generate.shape import Scenario, Step, Values

_ATTEMPTS = 200


class Draft(msgspec.Struct, gc=False):
    """An event before it is written down: timestamps are still numbers and can be moved."""

    contract: EventContract
    timestamps: tuple[str, ...]
    occurred_us: int
    values: dict[str, DrawnValue]

    def moved(self, by_us: int) -> Draft:
        """Return it at another time; all its timestamps move together, so its rules still hold."""
        values = self.values.copy()
        for name in self.timestamps:
            if isinstance(instant_us := values.get(name), int):
                values[name] = instant_us + by_us
        return Draft(self.contract, self.timestamps, self.occurred_us + by_us, values)


Happening: TypeAlias = "int | Draft"
"""A wait in microseconds, or an event."""
Act: TypeAlias = Callable[[State], Iterable[Happening]]


@dataclass(frozen=True, slots=True)
class CompiledScenario:
    """A scenario compiled for one run.

    Attributes:
        opening: Journeys that run once, in order.
        begin: Starts one of the other journeys; each call is a new one.
    """

    opening: tuple[Callable[[], Iterator[Happening]], ...]
    begin: Callable[[], Iterator[Happening]]


@dataclass(slots=True)
class _Compiler:
    registry: Registry
    context: DrawContext
    careful: bool
    pools: dict[str, tuple[float, list[State]]] = field(default_factory=dict)
    pool_scopes: dict[str, Scope] = field(default_factory=dict)

    def act(self, steps: Iterable[Step], scope: dict[str, ExpressionType]) -> Act:
        """Compile steps one after another; *scope* learns what they draw."""
        acts = [self._step(step, scope) for step in steps]

        def run(state: State) -> Iterator[Happening]:
            for act in acts:
                yield from act(state)

        return run

    def _step(self, step: Step, scope: dict[str, ExpressionType]) -> Act:
        if step.emit is not None:
            return self._emit(step, self.registry.event(step.emit), scope)
        if step.draw is not None:
            return self._draw(step.draw, scope)
        if step.pick is not None:
            return self._pick(step.pick, scope)
        if step.wait is not None:
            return self._wait(*step.wait)
        if step.repeat is not None:
            return self._repeat(step, scope)
        return self._branch(step, scope)

    def _draw(self, values: Values, scope: dict[str, ExpressionType]) -> Act:
        drawings: list[tuple[str, Drawing]] = []
        for name, value in values.items():
            drawings.append((name, drawing_of(value, scope, self.context)))
            scope[name] = type_of(value, scope)

        def run(state: State) -> Iterable[Happening]:
            for name, drawing in drawings:
                state[name] = drawing(state)
            return ()

        return run

    def _pick(self, pool: str, scope: dict[str, ExpressionType]) -> Act:
        skew, things = self.pools[pool]
        scope.update(self.pool_scopes[pool])
        random, count = self.context.random.random, len(things)

        def run(state: State) -> Iterable[Happening]:
            state.update(things[int(random() ** skew * count)])
            return ()

        return run

    def _wait(self, low: float, high: float) -> Act:
        random, low_us, span_us = self.context.random.random, low * 1e6, (high - low) * 1e6
        return lambda _state: (int(low_us + random() * span_us),)

    def _repeat(self, step: Step, scope: dict[str, ExpressionType]) -> Act:
        low, high = step.repeat or (0, 0)
        act, random = self._perhaps(step.steps, scope), self.context.random.random

        def run(state: State) -> Iterator[Happening]:
            for _ in range(low + int(random() * (high - low + 1))):
                yield from act(state)

        return run

    def _branch(self, step: Step, scope: dict[str, ExpressionType]) -> Act:
        decide = self._condition(step, scope)
        happens, otherwise = (self._perhaps(steps, scope) for steps in (step.steps, step.otherwise))
        return lambda state: happens(state) if decide(state) else otherwise(state)

    def _perhaps(self, steps: Iterable[Step], scope: dict[str, ExpressionType]) -> Act:
        """Compile steps that may not happen: what they draw may be null afterwards."""
        inner = dict(scope)
        act = self.act(steps, inner)
        for name, drawn in inner.items():
            if drawn != scope.get(name):
                scope[name] = replace(drawn, nullable=True)
        return act

    def _condition(self, step: Step, scope: Scope) -> Callable[[State], bool]:
        if step.when is not None:
            drawing = drawing_of(step.when, dict(scope), self.context)
            return lambda state: drawing(state) is True
        chance, random = step.chance or 0.0, self.context.random.random
        return lambda _state: random() < chance

    def _emit(self, step: Step, contract: EventContract, scope: Scope) -> Act:
        taken = [
            name
            for name in contract.fields
            if name in scope and name not in step.values
            if step.only is None or name in step.only
        ]
        inner = dict(scope)
        drawings: list[tuple[str, Drawing]] = []
        for name, value in step.values.items():
            drawings.append((name, drawing_of(value, inner, self.context)))
            inner[name] = type_of(value, inner)
        stamps = tuple(
            name for name, declared in contract.fields.items() if declared.type == "timestamp"
        )
        floats = [name for name, declared in contract.fields.items() if declared.type == "number"]
        broken = rules_of(contract) if self.careful else lambda _values: None
        context = self.context

        attempts = _ATTEMPTS  # of a careful event; one that never fits is not tried again

        def run(state: State) -> Iterable[Happening]:
            nonlocal attempts
            for _ in range(attempts):
                seen = state.copy()
                values: dict[str, DrawnValue] = {
                    name: value for name in taken if (value := seen[name]) is not None
                }
                for name, drawing in drawings:
                    seen[name] = value = drawing(seen)
                    if value is not None:
                        values[name] = value
                for name in floats:
                    if isinstance(number := values.get(name), Decimal):
                        values[name] = float(number)
                if broken(values) is None:
                    return (Draft(contract, stamps, context.now_us, values),)
            attempts = 0
            return ()

        return run


def compile_scenario(
    scenario: Scenario, registry: Registry, context: DrawContext, *, careful: bool = False
) -> CompiledScenario:
    """Compile a checked scenario. With *careful*, values that break a rule are drawn again."""
    compiler = _Compiler(registry, context, careful)
    for name, pool in scenario.pools.items():
        scope: dict[str, ExpressionType] = {}
        fill = compiler._draw(pool.values, scope)  # noqa: SLF001 - same module
        things: list[State] = []
        run, context.run, context.count = context.run, "", 0
        for number in range(pool.size):
            thing: State = dict.fromkeys(scope)
            context.count = number
            tuple(fill(thing))
            things.append(thing)
        context.run, context.count = run, 0
        compiler.pools[name], compiler.pool_scopes[name] = (pool.skew, things), scope
    opening = [
        _start(act, {**empty, **thing})
        for scene in scenario.opening
        for act, empty in [_begun(compiler, scene.steps, compiler.pool_scopes[scene.each])]
        for thing in compiler.pools[scene.each][1]
    ]
    journeys = [_begun(compiler, journey.steps, {}) for journey in scenario.journeys.values()]
    weights = [journey.weight for journey in scenario.journeys.values()]
    return CompiledScenario(tuple(opening), _chosen(journeys, weights, context.random))


def rules_of(contract: EventContract) -> Callable[[Mapping[str, DrawnValue]], str | None]:
    """Return the function that names the first rejecting rule which values break, if any."""
    scope = {
        name: ExpressionType(declared.kind, declared.scale, nullable=True)
        for name, declared in declared_scope(contract).items()
    }
    emitter = PythonEmitter(scope, field=lambda name: f"v.get({name!r})")
    rules: list[tuple[str, Callable[[Mapping[str, DrawnValue]], object]]] = [
        (
            rule.name,
            eval(  # noqa: S307 - emitted from a checked tree, never text of a file
                f"lambda v: {emitter.value_source(parse_scalar(rule.check))}", dict(NAMESPACE)
            ),
        )
        for rule in contract.rules
        if rule.on_fail == "reject"
    ]
    return lambda values: next((name for name, holds in rules if holds(values) is False), None)


def _begun(compiler: _Compiler, steps: Iterable[Step], scope: Scope) -> tuple[Act, State]:
    known = dict(scope)
    act = compiler.act(steps, known)
    return act, dict.fromkeys(known)


def _start(act: Act, state: State) -> Callable[[], Iterator[Happening]]:
    return lambda: iter(act(state.copy()))


def _chosen(
    journeys: list[tuple[Act, State]], weights: list[float], random: Random
) -> Callable[[], Iterator[Happening]]:
    def begin() -> Iterator[Happening]:
        act, state = random.choices(journeys, weights)[0]
        return iter(act(state.copy()))

    return begin
