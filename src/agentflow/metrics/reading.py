"""From a cell to the number people see."""

from __future__ import annotations

import msgspec

from agentflow.expressions.nodes import Number
from agentflow.metrics.arithmetic import ExactValue, Fraction, combine, fraction, rounded, settled
from agentflow.metrics.atoms import READERS
from agentflow.metrics.evaluator import Cell
from agentflow.metrics.plan import AtomRead, Computed, MetricPlan, Reading


class MetricValue(msgspec.Struct, frozen=True, gc=False):
    """A value of a metric.

    Attributes:
        value: An integer, a decimal with the metric's scale, or None for a ratio over nothing.
        events: How many events it is made of.
    """

    value: ExactValue
    events: int


def measure(plan: MetricPlan, cell: Cell) -> MetricValue:
    """Read a cell."""
    return MetricValue(_answer(plan, cell), cell.events)


def _answer(plan: MetricPlan, cell: Cell) -> ExactValue:
    """Compute a metric and round it once; whole metrics give integers, the others decimals."""
    reading = plan.reading
    if isinstance(reading, AtomRead):
        return _finished(plan, _read_atom(reading, cell[reading.atom]))
    exact = _exact(reading, cell)
    if exact is None:
        return None
    number = settled(exact, plan.scale)
    return int(number) if plan.whole else number


def _finished(plan: MetricPlan, value: ExactValue) -> ExactValue:
    if value is None:
        return None
    if plan.whole:
        return value if value.__class__ is int else int(rounded(value, 0))
    return rounded(value, plan.scale)


def _exact(node: Reading, cell: Cell) -> Fraction | None:
    match node:
        case Computed(operator=operator, left=left, right=right):
            return combine(operator, _exact(left, cell), _exact(right, cell))
        case Number(value=number):
            return fraction(number)
        case AtomRead():
            value = _read_atom(node, cell[node.atom])
            return None if value is None else fraction(value)


def _read_atom(read: AtomRead, state: object) -> ExactValue:
    return READERS[read.kind].live(state, read.q)
