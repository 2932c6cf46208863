"""A metric bound to its events: the small IR every engine is generated from.

A metric is arithmetic over *reads* of *atoms*. An atom is the smallest state that can be kept,
merged and taken back: a sum, a count, a counted multiset (min, max, quantiles) or a counted set
(distinct).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import assert_never

from agentflow.contracts.model import EventContract, MetricContract
from agentflow.contracts.reads import pinned
from agentflow.contracts.scope import full_scope
from agentflow.errors import ContractError, ExpressionError
from agentflow.events import EventRef
from agentflow.expressions import (
    Aggregate,
    ExpressionType,
    MetricNode,
    Node,
    Scope,
    infer,
    parse_metric,
)
from agentflow.expressions.aggregates import AGGREGATES, AtomKind, Formula, ReadKind, StateRead
from agentflow.expressions.nodes import Combine, Number, divides, spelled_out
from agentflow.metrics.arithmetic import RATIO_SCALE
from agentflow.metrics.atoms import ATOMS
from agentflow.metrics.windows import Window, parse_window


@dataclass(frozen=True, slots=True)
class AtomInput:
    """What one event version adds to an atom; a None value counts the event itself."""

    ref: EventRef
    value: Node | None
    where: Node | None


@dataclass(frozen=True, slots=True)
class Atom:
    """One piece of state. `scale` is that of its values (decimals), 0 for whole numbers."""

    kind: AtomKind
    inputs: tuple[AtomInput, ...]
    scale: int


@dataclass(frozen=True, slots=True)
class AtomRead:
    """A number read from an atom; quantiles carry q as a fraction of whole numbers."""

    atom: int
    kind: ReadKind
    q: tuple[int, int] = (0, 1)


@dataclass(frozen=True, slots=True)
class Computed:
    """Arithmetic over reads."""

    operator: str
    left: Reading
    right: Reading


Reading = AtomRead | Number | Computed


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """Everything an engine needs to know about one metric version.

    Attributes:
        scale: Places in the answer.
        whole: Whether the answer is an integer (a JSON number) and not a decimal (a string).
        scopes: The field types of each event the metric reads directly.
        currency: The dimension that holds the unit, for money; else None.
    """

    contract: MetricContract
    atoms: tuple[Atom, ...]
    reading: Reading
    scale: int
    whole: bool
    windows: tuple[Window, ...]
    scopes: Mapping[EventRef, Scope]
    currency: str | None

    @property
    def id(self) -> tuple[str, int]:
        """Name and version."""
        return self.contract.name, self.contract.version

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The declared dimensions, in contract order: the order of every cell key."""
        return self.contract.dimensions

    def window(self, name: str) -> Window | None:
        """Return the declared window of that name, or None."""
        return next((window for window in self.windows if window.name == name), None)


def plan_metric(
    contract: MetricContract, *, events: Mapping[EventRef, EventContract]
) -> MetricPlan:
    """Bind a metric contract to the events it reads.

    Raises:
        ContractError: If the expression does not parse, type-check or fit its events.
    """
    node = parse_metric(contract.value, events={ref.type for ref in events})
    return _Binder(contract, events).plan(node)


def _counted(contract: MetricContract, event: str) -> tuple[EventRef, ...]:
    """Return the versions of *event* that the metric counts: the pinned ones."""
    refs = pinned(contract, event)
    if not refs:
        raise ContractError(
            f'"moved_by" lacks "{event}", which the value reads',
            hint=f"Add {event}@1 to moved_by.",
        )
    return refs


class _Binder:
    """Collects atoms while walking the expression once."""

    def __init__(self, contract: MetricContract, events: Mapping[EventRef, EventContract]) -> None:
        self._contract = contract
        self._events = events
        self._scopes: dict[EventRef, Scope] = {}
        self._atoms: dict[Atom, int] = {}

    def plan(self, node: MetricNode) -> MetricPlan:
        reading, scale = self._bind(node)
        divided = divides(node)
        natural = RATIO_SCALE if divided else scale
        chosen = self._contract.scale if self._contract.scale is not None else natural
        unit = self._contract.unit
        return MetricPlan(
            contract=self._contract,
            atoms=tuple(self._atoms),
            reading=reading,
            scale=chosen,
            whole=chosen == 0 and not divided,
            windows=tuple(parse_window(name) for name in self._contract.windows),
            scopes=self._scopes,
            currency=unit if unit in self._contract.dimensions else None,
        )

    def _bind(self, node: MetricNode) -> tuple[Reading, int]:
        match node:
            case Number(value=value):
                exponent = Decimal(value).as_tuple().exponent
                return node, -exponent if isinstance(exponent, int) else 0
            case Combine(operator=operator, left=left, right=right):
                (first, a), (second, b) = self._bind(left), self._bind(right)
                scale = {"/": RATIO_SCALE, "*": a + b}.get(operator, max(a, b))
                return Computed(operator, first, second), scale
            case Aggregate():
                return self._aggregate(node)

    def _aggregate(self, node: Aggregate) -> tuple[Reading, int]:
        types = [self._value_type(node, index) for index in range(len(node.inputs))]
        match AGGREGATES[node.kind].meaning:
            case StateRead(atom=kind, read=read):
                scale = max(each.scale for each in types if each) if ATOMS[kind].scaled else 0
                q = (0, 1) if node.q is None else node.q.as_integer_ratio()
                return AtomRead(self._atom(kind, node, scale), read, q), scale
            case Formula() as formula:
                return self._bind(spelled_out(node, formula))
            case unknown:
                assert_never(unknown)

    def _atom(self, kind: AtomKind, node: Aggregate, scale: int) -> int:
        inputs = tuple(
            AtomInput(ref, source.value, node.where)
            for source in node.inputs
            for ref in _counted(self._contract, source.event)
        )
        for item in inputs:
            self._check(item)
        return self._atoms.setdefault(Atom(kind, inputs, scale), len(self._atoms))

    def _scope(self, ref: EventRef) -> Scope:
        if ref not in self._scopes:
            if ref not in self._events:
                raise ContractError(f'event "{ref}" does not exist')
            self._scopes[ref] = full_scope(self._events[ref])
        return self._scopes[ref]

    def _check(self, item: AtomInput) -> None:
        scope = self._scope(item.ref)
        if item.where is not None and infer(item.where, scope).kind != "boolean":
            raise ExpressionError("a filter must be a condition")
        for dimension in self._contract.dimensions:
            if dimension not in scope:
                raise ContractError(
                    f'dimension "{dimension}" is not a field of "{item.ref}"',
                    hint=f"Its fields: {', '.join(sorted(scope))}.",
                )

    def _value_type(self, node: Aggregate, index: int) -> ExpressionType | None:
        """Return the type of one of the values; None where events are counted."""
        source, allowed = node.inputs[index], AGGREGATES[node.kind].takes
        if source.value is None or not allowed:
            return None
        kinds = [
            infer(source.value, self._scope(ref)) for ref in _counted(self._contract, source.event)
        ]
        for kind in kinds:
            if kind.kind not in allowed:
                raise ExpressionError(
                    f"{node.kind} of a {kind.kind} is not exact",
                    hint=f"Use a field of type {' or '.join(sorted(allowed))}"
                    + (", such as decimal with a scale." if kind.kind == "number" else "."),
                )
        return max(kinds, key=lambda kind: kind.scale)
