"""Generated Python: how one event moves every metric that names it, and how cells merge.

For each event version one function adds (and its twin takes back) the event in all metrics at once,
as straight-line source with no loop over metrics. Only the metrics an event moves cost anything
(5 → 500 declared metrics: `tests/bench/test_engine.py`).

A *cell* holds one state per atom and the number of events in it. A *delta* is a list of the same,
the number last, with plain dicts for multisets and distinct sets: see `MetricState.deltas`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from agentflow.contracts.scope import attribute_of
from agentflow.events import EventRef
from agentflow.expressions.python import NAMESPACE, PythonEmitter
from agentflow.expressions.typing import Scope, infer
from agentflow.metrics.atoms import ATOMS, STATES
from agentflow.metrics.plan import Atom, AtomInput, MetricPlan

BUCKET_US = 5_000_000
"""Event time is kept to five seconds, the finest step of any window."""

Delta = list[Any]  # heterogeneous by design: one change per atom, then a count
_ZERO = Decimal(0)


class Cell(msgspec.Struct, gc=False):
    """What a window or a bucket holds of one combination of dimension values.

    Each plan has a class of its own, with one attribute per atom behind *events*. Cells are no
    business of the garbage collector: they hold no cycles, and a metric may have a million of them.
    Walking them in each full collection held the event loop for 0.3 to 0.7 s.
    """

    events: int

    def parts(self) -> list[Any]:
        """Return the state of each atom."""
        return [getattr(self, name) for name in self.__struct_fields__[1:]]

    def __getitem__(self, atom: int) -> Any:  # noqa: ANN401 - the state of any atom
        """Return the state of an atom."""
        return getattr(self, self.__struct_fields__[atom + 1])

    def __setitem__(self, atom: int, state: object) -> None:
        """Put another state in the place of an atom's."""
        setattr(self, self.__struct_fields__[atom + 1], state)


@dataclass(frozen=True, slots=True)
class Mover:
    """What one event version does. Arguments: event data, bucket, cause, one state per plan.

    Attributes:
        plans: Indexes of the plans whose states the functions expect, in order.
    """

    ref: EventRef
    plans: tuple[int, ...]
    add: Callable[..., None]
    retract: Callable[..., None]


@dataclass(frozen=True, slots=True)
class CellFunctions:
    """How the cells of one plan begin and merge; generated once per plan."""

    empty: Callable[[], Cell]
    add_delta: Callable[[Cell, Delta], None]
    add: Callable[[Cell, Cell], None]
    subtract: Callable[[Cell, Cell], None]


def compile_movers(plans: Sequence[MetricPlan]) -> dict[EventRef, Mover]:
    """Generate one mover for every event version that any plan reads."""
    readers: dict[EventRef, list[int]] = {}
    for index, plan in enumerate(plans):
        for ref in plan.scopes:
            readers.setdefault(ref, []).append(index)
    return {ref: _mover(ref, plans, indexes) for ref, indexes in readers.items()}


def _mover(ref: EventRef, plans: Sequence[MetricPlan], indexes: list[int]) -> Mover:
    scope = plans[indexes[0]].scopes[ref]
    chosen = [plans[index] for index in indexes]
    functions = [
        _compile(_mover_source(ref, chosen, scope, sign), name=f"<moves of {ref}>")
        for sign in ("+", "-")
    ]
    return Mover(ref, tuple(indexes), functions[0], functions[1])


def _compile(source: str, *, name: str) -> Callable[..., None]:
    namespace: dict[str, object] = {**NAMESPACE, "_ZERO": _ZERO}
    exec(compile(source, name, "exec"), namespace)
    function = namespace["move"]
    assert callable(function)  # noqa: S101 - generated two lines above
    return function


def _mover_source(ref: EventRef, plans: list[MetricPlan], scope: Scope, sign: str) -> str:
    names = ", ".join(f"s{number}" for number in range(len(plans)))
    lines = ["def move(d, b, cause, states):", f"    ({names},) = states"]
    keys: dict[tuple[str, ...], str] = {}
    for plan in plans:
        if plan.dimensions not in keys:
            keys[plan.dimensions] = f"k{len(keys)}"
            parts = "".join(f" d.{attribute_of(dimension)}," for dimension in plan.dimensions)
            lines.append(f"    {keys[plan.dimensions]} = (b,{parts})")
    for number, plan in enumerate(plans):
        lines += _plan_lines(ref, plan, scope, sign, f"s{number}", keys[plan.dimensions])
    return "\n".join(lines) + "\n"


def _plan_lines(
    ref: EventRef, plan: MetricPlan, scope: Scope, sign: str, state: str, key: str
) -> list[str]:
    emitter = PythonEmitter(scope, field=lambda name: f"d.{attribute_of(name)}")
    updates = [
        _update(index, atom, item, emitter, scope, sign)
        for index, atom in enumerate(plan.atoms)
        for item in atom.inputs
        if item.ref == ref
    ]
    conditions = list(dict.fromkeys(update.condition for update in updates))
    always = "" in conditions
    lines = [f"    # {plan.contract.name}@{plan.contract.version}"]
    indent = "    "
    if not always:
        lines.append(f"    if {' or '.join(conditions)}:")
        indent = "        "
    zeros = ", ".join(_delta_zero(atom) for atom in plan.atoms)
    lines += [
        f"{indent}c = {state}.deltas.get({key})",
        f"{indent}if c is None:",
        f"{indent}    c = {state}.deltas[{key}] = [{zeros}, 0]",
    ]
    for update in updates:
        guarded = update.condition and (always or len(conditions) > 1)
        if guarded:
            lines.append(f"{indent}if {update.condition}:")
        inner = indent + ("    " if guarded else "")
        lines += [inner + line for line in update.lines]
    lines += [
        f"{indent}c[-1] {sign}= 1",
        f"{indent}{state}.moves += 1",
        f"{indent}{state}.causes.append(cause)",
    ]
    return lines


@dataclass(frozen=True, slots=True)
class _Update:
    """Source lines that change one atom, run when *condition* holds ("" is always)."""

    condition: str
    lines: list[str]


def _update(
    index: int, atom: Atom, item: AtomInput, emitter: PythonEmitter, scope: Scope, sign: str
) -> _Update:
    conditions = [emitter.truth_source(item.where)] if item.where is not None else []
    value = "1"
    if item.value is not None:
        value = emitter.value_source(item.value)
        if infer(item.value, scope).nullable:
            conditions.append(f"({value}) is not None")
    lines = [line.format(index=index, sign=sign, value=value) for line in ATOMS[atom.kind].moved]
    return _Update(" and ".join(conditions), lines)


def _delta_zero(atom: Atom) -> str:
    source = ATOMS[atom.kind]
    return source.zero(source.delta, atom.scale)


def compile_cells(plan: MetricPlan) -> CellFunctions:
    """Generate how cells of *plan* are made and merged."""
    starts = ", ".join(["0", *map(_state_zero, plan.atoms)])
    fields = [(f"a{index}", Any) for index in range(len(plan.atoms))]
    cell = msgspec.defstruct("Cell", fields, bases=(Cell,), module=__name__, gc=False)
    namespace: dict[str, object] = {"_ZERO": _ZERO, "Cell": cell, **STATES}
    source = "\n".join(
        [
            f"def empty():\n    return Cell({starts})",
            *_delta_merge_source(plan.atoms),
            *_merge_source("add", plan.atoms, "+"),
            *_merge_source("subtract", plan.atoms, "-"),
        ]
    )
    exec(compile(source, f"<cells of {plan.contract.name}>", "exec"), namespace)
    return CellFunctions(
        *(namespace[name] for name in ("empty", "add_delta", "add", "subtract"))  # type: ignore[arg-type]
    )


def _state_zero(atom: Atom) -> str:
    source = ATOMS[atom.kind]
    return source.zero(source.empty, atom.scale)


def _delta_merge_source(atoms: Sequence[Atom]) -> list[str]:
    lines = ["def add_delta(into, delta):"]
    for index, atom in enumerate(atoms):
        if ATOMS[atom.kind].number:
            lines.append(f"    into.a{index} += delta[{index}]")
        else:
            lines.append(f"    into.a{index}.merge(delta[{index}])")
    return [*lines, "    into.events += delta[-1]"]


def _merge_source(name: str, atoms: Sequence[Atom], sign: str) -> list[str]:
    lines = [f"def {name}(into, cell):"]
    for index, atom in enumerate(atoms):
        if ATOMS[atom.kind].number:
            lines.append(f"    into.a{index} {sign}= cell.a{index}")
        else:
            lines.append(f"    into.a{index}.merge(cell.a{index}.values, sign={sign}1)")
    return [*lines, f"    into.events {sign}= cell.events"]
