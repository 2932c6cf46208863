"""A metric made from its expression, and events for it, without contracts files or a gate."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from agentflow.contracts.model import EventContract, MetricContract
from agentflow.events import EventRef
from agentflow.metrics import (
    MetricPlan,
    MetricState,
    MetricValue,
    compile_cells,
    compile_movers,
    measure,
    plan_metric,
)
from agentflow.metrics.arithmetic import EXACT
from agentflow.metrics.evaluator import BUCKET_US

SALE, REFUND = EventRef("sale", 1), EventRef("refund", 1)
_FIELDS = {
    "amount": {"type": "decimal", "scale": 2, "required": True},
    "pieces": {"type": "integer", "required": True},
    "buyer": {"type": "string"},
    "place": {"type": "string", "required": True},
    "currency": {"type": "string", "required": True},
}
_COMMON = {"version": 1, "status": "approved", "owner": "tests", "description": "For tests."}


def event_contracts() -> dict[EventRef, EventContract]:
    """Two event types with the same fields."""
    return {
        ref: EventContract.model_validate(
            {"kind": "event", "name": ref.type, "fields": _FIELDS, **_COMMON}
        )
        for ref in (SALE, REFUND)
    }


def metric_contract(value: str, **changes: object) -> MetricContract:
    document = {
        "kind": "metric",
        "name": "tested",
        "unit": "pieces",
        "value": value,
        "moved_by": [str(ref) for ref in (REFUND, SALE) if ref.type in value],
        "dimensions": ["place"],
        "windows": ["1m", "5m", "1h", "24h", "today", "7d", "all"],
        **_COMMON,
        **changes,
    }
    return MetricContract.model_validate(document)


@dataclass
class Happening:
    """An event as movers see it: its time and the attributes of its data."""

    at_us: int
    data: Any
    ref: EventRef = SALE


def sale(at_us: int, *, ref: EventRef = SALE, **data: object) -> Happening:
    fields = {"amount": decimal.Decimal("1.00"), "pieces": 1, "buyer": None, "place": "here"}
    return Happening(at_us, SimpleNamespace(**{**fields, "currency": "EUR", **data}), ref)


class Ledger:
    """The live state of one metric, moved by happenings."""

    def __init__(self, value: str, *, now_us: int = 0, **changes: object) -> None:
        self.plan: MetricPlan = plan_metric(
            metric_contract(value, **changes), events=event_contracts()
        )
        self._movers = compile_movers([self.plan])
        self._functions = compile_cells(self.plan)
        self.state = self.fresh(now_us)

    def fresh(self, now_us: int = 0) -> MetricState:
        """Return an empty state of the same plan."""
        return MetricState(self.plan, self._functions, now_us=now_us)

    def add(self, *happenings: Happening) -> None:
        for one in happenings:
            self._movers[one.ref].add(one.data, one.at_us // BUCKET_US, one, (self.state,))

    def retract(self, *happenings: Happening) -> None:
        for one in happenings:
            self._movers[one.ref].retract(one.data, one.at_us // BUCKET_US, one, (self.state,))

    def read(self, window: str, *, now_us: int, by: Sequence[str] = ()) -> dict[Any, MetricValue]:
        self.state.refresh(now_us)
        return {
            key: measure(self.plan, cell) for key, cell in self.state.group(window, by=by).items()
        }

    def value(self, window: str, *, now_us: int) -> object:
        found = self.read(window, now_us=now_us)
        return found[()].value if found else None

    def everything(self, now_us: int) -> dict[str, dict[Any, MetricValue]]:
        """Return every window's cells and total."""
        names = [window.name for window in self.plan.windows]
        return {
            f"{name} by {by}": self.read(name, now_us=now_us, by=by)
            for name in names
            for by in (self.plan.dimensions, ())
        }


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Decimals as the engine adds them."""
    with decimal.localcontext(EXACT):
        yield


@pytest.fixture
def ledger() -> Callable[..., Ledger]:
    return Ledger
