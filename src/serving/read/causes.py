"""Which events moved a number last, and by how much."""

from __future__ import annotations

import decimal
from collections.abc import Mapping, Reversible
from dataclasses import dataclass
from typing import Final, TypeGuard
from urllib.parse import quote

import msgspec

from agentflow.clock import to_rfc3339
from agentflow.contracts.scope import attribute_of
from agentflow.events import Event, EventRef
from agentflow.metrics import (
    CellFunctions,
    MetricPlan,
    Mover,
    compile_cells,
    compile_movers,
    measure,
)
from agentflow.metrics.arithmetic import EXACT, ExactValue
from agentflow.metrics.atoms import ATOMS
from agentflow.metrics.evaluator import BUCKET_US, Delta
from agentflow.metrics.plan import Computed, Reading
from processing.live import Cause
from serving.read.units import unit_of

CAUSES_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class CellsInWindow:
    """The cells and the window that an answer is about.

    Attributes:
        where: Field of event data → wanted value.
    """

    where: Mapping[str, object]
    start_us: int
    end_us: int

    def holds(self, event: Event | None) -> TypeGuard[Event]:
        """Tell whether an event counts there, now or before it was corrected."""
        if event is None:
            return False
        at_us = event.occurred_us // BUCKET_US * BUCKET_US  # as live state keeps it
        return self.start_us <= at_us < self.end_us and all(
            getattr(event.data, name) == value for name, value in self.where.items()
        )


class CauseDocument(msgspec.Struct, frozen=True):
    """An event that moved a number, on the wire.

    Attributes:
        moved: What it added to the cell and window that was asked for; null where that is not a
            sum of its events, or where it moved two currencies.
        unit: Of `moved`; null where that is of two currencies, or of none.
        lineage: Where the event is followed: a GET as it stands.
    """

    event_id: str
    source: str
    type: str
    occurred_at: str
    moved: int | str | None
    unit: str | None
    lineage: str


class Causes:
    """Names the causes of one metric, newest first.

    `moved` is what the event added to the metric: known where the metric is a sum of its events,
    null where it is a ratio, an extreme, a quantile or a distinct count.
    """

    def __init__(self, plan: MetricPlan) -> None:
        self._plan = plan
        self._additive = additive(plan)
        self._movers: Mapping[EventRef, Mover] = compile_movers([plan])
        self._functions: CellFunctions = compile_cells(plan)

    def of(
        self, causes: Reversible[object], place: CellsInWindow
    ) -> tuple[list[CauseDocument], int | None]:
        """Return the newest causes that concern *place*, and when the newest of them came."""
        found: list[CauseDocument] = []
        came_us: int | None = None
        for cause in reversed(causes):
            event, before, after = _parts(cause)
            before, after = (part if place.holds(part) else None for part in (before, after))
            if before is None and after is None:
                continue
            came_us = event.ingested_us if came_us is None else came_us
            found.append(self._document(event, before, after))
            if len(found) == CAUSES_SHOWN:
                break
        return found, came_us

    def _document(self, event: Event, before: Event | None, after: Event | None) -> CauseDocument:
        units = {self._unit(part) for part in (before, after) if part is not None}
        mixed = len(units) > 1
        moved = None if mixed else self._difference(before, after)
        return CauseDocument(
            event_id=event.id,
            source=event.source,
            type=event.type,
            occurred_at=to_rfc3339(event.occurred_us),
            moved=f"{moved:f}" if isinstance(moved, decimal.Decimal) else moved,
            unit=None if mixed else units.pop(),
            lineage=lineage_link(event.source, event.id),
        )

    def _unit(self, event: Event) -> str | None:
        """Return the unit of what an event adds."""
        currency = self._plan.currency
        held = None if currency is None else getattr(event.data, attribute_of(currency), None)
        return unit_of(self._plan, {} if currency is None else {currency: held})

    def _difference(self, before: Event | None, after: Event | None) -> ExactValue:
        less, more = self._alone(before), self._alone(after)
        if less is None and more is None:
            return None
        return (more or 0) - (less or 0)

    def _alone(self, event: Event | None) -> ExactValue:
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
        self.deltas: dict[tuple[object, ...], Delta] = {}
        self.moves = 0
        self.causes: list[object] = []


def additive(plan: MetricPlan) -> bool:
    """Tell whether a metric is the sum of what each of its events adds."""
    return all(ATOMS[atom.kind].number for atom in plan.atoms) and _linear(plan.reading)


def _linear(node: Reading) -> bool:
    if not isinstance(node, Computed):
        return True
    return node.operator in {"+", "-"} and _linear(node.left) and _linear(node.right)


def _parts(cause: object) -> tuple[Event, Event | None, Event | None]:
    """Return the event, what it took out and what it put in."""
    if isinstance(cause, Cause):
        return cause.event, cause.before, cause.after
    assert isinstance(cause, Event)  # noqa: S101 - movers append nothing else
    return cause, None, cause


def lineage_link(source: str, event_id: str) -> str:
    """Return the address at which an event is followed.

    >>> lineage_link("/shop?x", "a/b c")
    '/v1/lineage/event/a%2Fb%20c?source=%2Fshop%3Fx'
    """
    return f"/v1/lineage/event/{quote(event_id, safe='')}?source={quote(source, safe='')}"
