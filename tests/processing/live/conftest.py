"""A live engine over the shop's contracts, and short ways to make events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from agentflow.clock import to_rfc3339
from agentflow.events import Event, RawEvent
from agentflow.lint import load
from agentflow.metrics import measure
from processing.definitions import Definitions
from processing.live import GroupLog, LiveEngine, MetricId, Moved
from quality import Accepted
from tests.processing.laws.campaign import ListedGroups

NOW_US = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z
REVENUE: MetricId = ("revenue", 2)


class Shop:
    """Events in, numbers out; `groups` is the log in which evicted groups are found."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.groups = ListedGroups(definitions)
        self.engine = self.new_engine()
        self._ids = 0

    def new_engine(self, *, groups: GroupLog | None = None, groups_kept: int = 100) -> LiveEngine:
        corrections = self.definitions.corrections(groups or self.groups)
        corrections._groups_kept = groups_kept  # noqa: SLF001 - Definitions chooses none
        return LiveEngine(
            list(self.definitions.plans.values()), corrections=corrections, now_us=NOW_US
        )

    def event(self, kind: str, *, age_us: int = 0, tenant: str = "t", **data: object) -> Event:
        self._ids += 1
        document = {
            "id": f"e{self._ids}",
            "type": kind,
            "time": to_rfc3339(NOW_US - age_us),
            "data": data,
        }
        raw = RawEvent(json.dumps(document).encode(), tenant, NOW_US)
        verdict = self.definitions.gate.judge(raw)
        assert isinstance(verdict, Accepted), verdict
        return verdict.event

    def send(self, *events: Event) -> list[Moved]:
        first = len(self.groups.log)
        batch = list(enumerate(events, first))
        self.groups.log += batch
        return self.engine.apply(batch, now_us=NOW_US)

    def order(self, order_id: str, amount: str = "10.00", **more: object) -> Event:
        return self.event("order.created", order_id=order_id, amount=amount, currency="EUR", **more)

    def revenue(self, tenant: str = "t", window: str = "24h") -> str | None:
        state = self.engine.read(REVENUE, tenant, now_us=NOW_US)
        cell = state.group(window, by=("currency",)).get(("EUR",))
        return None if cell is None else str(measure(state.plan, cell).value)

    def numbers(self, engine: LiveEngine | None = None) -> Mapping[object, object]:
        """Return every cell of every window of every metric."""
        chosen = engine or self.engine
        return {
            (tenant, metric, window.name, key): measure(plan, cell)
            for tenant in chosen.tenants()
            for metric, plan in chosen.plans.items()
            for window in plan.windows
            for key, cell in chosen.read(metric, tenant, now_us=NOW_US)
            .group(window.name, by=plan.dimensions)
            .items()
        }


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    return Definitions.compile(load(Path("contracts")))


@pytest.fixture
def shop(definitions: Definitions) -> Shop:
    return Shop(definitions)
