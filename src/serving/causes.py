"""Which events moved a number last, and by how much."""

from __future__ import annotations

import decimal
from collections.abc import Mapping

from agentflow.clock import to_rfc3339
from agentflow.events import Event, EventRef
from agentflow.metrics import (
    CellFunctions,
    MetricPlan,
    Mover,
    compile_cells,
    compile_movers,
    measure,
)
from agentflow.metrics.arithmetic import EXACT, Value
from agentflow.metrics.evaluator import BUCKET_US, Cell
from agentflow.metrics.plan import Computed, Reading
from processing.live import Cause


class Causes:
    """Renders causes of one metric.

    `moved` is what the event added to the metric: known where the metric is a sum of its events,
    null where it is a ratio, an extreme, a quantile or a distinct count.
    """

    def __init__(self, plan: MetricPlan) -> None:
        self._plan = plan
        self._additive = additive(plan)
        self._movers: Mapping[EventRef, Mover] = compile_movers([plan])
        self._functions: CellFunctions = compile_cells(plan)

    def document(self, cause: object) -> dict[str, object]:
        """Return a cause on the wire."""
        if isinstance(cause, Cause):
            moved = self._difference(cause)
            return _document(cause.event, moved)
        assert isinstance(cause, Event)  # noqa: S101 - movers append nothing else
        return _document(cause, self._alone(cause))

    def _difference(self, cause: Cause) -> Value:
        before, after = self._alone(cause.before), self._alone(cause.after)
        if before is None and after is None:
            return None
        return (after or 0) - (before or 0)

    def _alone(self, event: Event | None) -> Value:
        """Return the metric of a world with that one event in it."""
        mover = self._movers.get(event.ref) if event is not None and self._additive else None
        if event is None or mover is None:
            return None
        probe = _Probe()
        with decimal.localcontext(EXACT):
            mover.add(event.data, event.occurred_us // BUCKET_US, event, (probe,))
            total = self._functions.empty()
            for delta in probe.deltas.values():
                self._functions.add_delta(total, delta)
            return measure(self._plan, total).value


class _Probe:
    """The least a mover needs to write to."""

    __slots__ = ("causes", "deltas", "moves")

    def __init__(self) -> None:
        self.deltas: dict[tuple[object, ...], Cell] = {}
        self.moves = 0
        self.causes: list[object] = []


def additive(plan: MetricPlan) -> bool:
    """Tell whether a metric is the sum of what each of its events adds."""
    kinds = {atom.kind for atom in plan.atoms}
    return kinds <= {"sum", "count"} and _linear(plan.reading)


def _linear(node: Reading) -> bool:
    if not isinstance(node, Computed):
        return True
    return node.operator in {"+", "-"} and _linear(node.left) and _linear(node.right)


def _document(event: Event, moved: Value) -> dict[str, object]:
    return {
        "event_id": event.id,
        "type": event.type,
        "occurred_at": to_rfc3339(event.occurred_us),
        "moved": f"{moved:f}" if isinstance(moved, decimal.Decimal) else moved,
    }
