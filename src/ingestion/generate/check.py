"""What can be known to be wrong with a scenario before anything happens, by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from agentflow.contracts import EventContract, FieldContract, Registry, SourceFile
from agentflow.contracts.scope import field_type
from agentflow.contracts.source import KeyPath
from agentflow.errors import ExpressionError, FileProblem, UnknownContractError
from agentflow.expressions import ExpressionType
from agentflow.suggestions import did_you_mean
from ingestion.generate.draws import names_in, type_of
from ingestion.generate.patterns import sampler
from ingestion.generate.shape import Draw, Scenario, Step, Values

_WIDER = {("integer", "decimal"), ("integer", "number"), ("decimal", "number"), ("string", "date")}


def problems_of(
    scenario: Scenario, source: SourceFile, registry: Registry
) -> Iterator[FileProblem]:
    """Find everything wrong with a scenario that has the right shape."""
    checker = _Checker(source, registry)
    for name, pool in scenario.pools.items():
        scope = checker.pools[name] = {}
        yield from checker.values(pool.values, ("pools", name, "values"), scope)
    for index, scene in enumerate(scenario.opening):
        path: KeyPath = ("opening", index)
        yield from checker.pool(scene.each, (*path, "each"))
        known = dict(checker.pools.get(scene.each, {}))
        yield from checker.steps(scene.steps, (*path, "steps"), known)
    for name, journey in scenario.journeys.items():
        path = ("journeys", name)
        yield from checker.steps(journey.steps, (*path, "steps"), {})
        if not any(_emits(step) for step in journey.steps):
            yield source.problem(path, f'journey "{name}" sends no event')


def _emits(step: Step) -> bool:
    return step.emit is not None or any(_emits(inner) for inner in (*step.steps, *step.otherwise))


@dataclass(slots=True)
class _Checker:
    source: SourceFile
    registry: Registry
    pools: dict[str, dict[str, ExpressionType]] = field(default_factory=dict)

    def steps(
        self, steps: Iterable[Step], path: KeyPath, scope: dict[str, ExpressionType]
    ) -> Iterator[FileProblem]:
        for index, step in enumerate(steps):
            yield from self._step(step, (*path, index), scope)

    def _step(
        self, step: Step, path: KeyPath, scope: dict[str, ExpressionType]
    ) -> Iterator[FileProblem]:
        if step.emit is not None:
            yield from self._emit(step, step.emit, path, scope)
        if step.draw is not None:
            yield from self.values(step.draw, (*path, "draw"), scope)
        if step.pick is not None:
            yield from self.pool(step.pick, (*path, "pick"))
            scope.update(self.pools.get(step.pick, {}))
        if step.when is not None:
            drawn = self._type(step.when, scope)
            if isinstance(drawn, str):
                yield self.source.problem((*path, "when"), drawn)
            elif drawn.kind != "boolean":
                message = f"a condition is boolean, this is {drawn.kind}"
                yield self.source.problem((*path, "when"), message)
        for key, inner in (("steps", step.steps), ("otherwise", step.otherwise)):
            known = dict(scope)
            yield from self.steps(inner, (*path, key), known)
            for name, drawn in known.items():
                if drawn != scope.get(name):
                    scope[name] = replace(drawn, nullable=True)

    def values(
        self, values: Values, path: KeyPath, scope: dict[str, ExpressionType]
    ) -> Iterator[FileProblem]:
        """Check values in order and add their types to *scope*."""
        for name, value in values.items():
            drawn = self._type(value, scope)
            if isinstance(drawn, str):
                yield self.source.problem((*path, name), drawn)
            else:
                scope[name] = drawn

    def pool(self, name: str, path: KeyPath) -> Iterator[FileProblem]:
        if name not in self.pools:
            hint = did_you_mean(name, self.pools) or None
            yield self.source.problem(path, f'pool "{name}" does not exist', hint)

    def _type(self, value: Draw | str, scope: dict[str, ExpressionType]) -> ExpressionType | str:
        """Return the type, or what is wrong."""
        if isinstance(value, Draw):
            unknown = [name for name in names_in(value.text or "") if name not in scope]
            if unknown:
                return f'no value is named "{unknown[0]}" here'
            if value.pattern is not None and sampler(value.pattern) is None:
                return (
                    "no text can be drawn for this pattern; only classes, literals and counts can"
                )
        try:
            return type_of(value, scope)
        except ExpressionError as error:
            return str(error)

    def _emit(
        self, step: Step, event: str, path: KeyPath, scope: dict[str, ExpressionType]
    ) -> Iterator[FileProblem]:
        name, _, version = event.partition("@")
        try:
            contract = self.registry.event(name, int(version) if version.isdecimal() else None)
        except UnknownContractError as error:
            yield self.source.problem((*path, "emit"), str(error), error.hint)
            return
        inner = dict(scope)
        yield from self.values(step.values, (*path, "values"), inner)
        for unknown in sorted(step.values.keys() - contract.fields.keys()):
            hint = did_you_mean(unknown, contract.fields) or None
            message = f'"{contract.ref}" has no field "{unknown}"'
            yield self.source.problem((*path, "values", unknown), message, hint)
        taken = {name: inner[name] for name in scope if step.only is None or name in step.only}
        given = taken | {name: inner[name] for name in step.values if name in inner}
        yield from self._fields(contract, step, path, given)

    def _fields(
        self, contract: EventContract, step: Step, path: KeyPath, given: dict[str, ExpressionType]
    ) -> Iterator[FileProblem]:
        for name, declared in contract.fields.items():
            place = (*path, "values", name) if name in step.values else (*path, "emit")
            if name not in given:
                if declared.required and name not in step.values:
                    message = f'"{contract.ref}" requires "{name}", which nothing here gives'
                    yield self.source.problem(place, message)
                continue
            if complaint := _misfit(given[name], step.values.get(name), declared):
                yield self.source.problem(place, f'"{name}" of "{contract.ref}" {complaint}')


def _misfit(drawn: ExpressionType, value: Draw | str | None, declared: FieldContract) -> str | None:
    wanted = field_type(declared)
    if drawn.kind not in {wanted.kind, "null"} and (drawn.kind, wanted.kind) not in _WIDER:
        return f"is a {wanted.kind}, this is a {drawn.kind}"
    if wanted.kind == "decimal" and drawn.scale > wanted.scale:
        return f"keeps {wanted.scale} digits, this has {drawn.scale}"
    if isinstance(value, Draw):
        if declared.enum and value.choice and (other := set(value.choice) - set(declared.enum)):
            return f"cannot be {', '.join(sorted(other))}"
        for bounds in (value.integer, value.decimal):
            low_enough = declared.minimum is None or bounds is None or bounds[0] >= declared.minimum
            high_enough = (
                declared.maximum is None or bounds is None or bounds[1] <= declared.maximum
            )
            if not (low_enough and high_enough):
                return f"goes from {declared.minimum} to {declared.maximum}"
    return None
