"""One set of contracts in force, compiled into everything that runs on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from agentflow.contracts import Registry
from agentflow.metrics import MetricPlan, plan_metric
from processing.live import Corrections, GroupLog, MetricId
from processing.transformations.routing import Router
from quality.gate import Gate


@dataclass(frozen=True, slots=True)
class Definitions:
    """Contracts and what was generated from them; exchanged as a whole when contracts change.

    Attributes:
        meanings: By metric, a hash of everything its numbers depend on: its own contract and those
            of the events that move it. State with another meaning cannot be used.
    """

    registry: Registry
    gate: Gate
    router: Router
    plans: Mapping[MetricId, MetricPlan]
    meanings: Mapping[MetricId, str]

    @classmethod
    def compile(cls, registry: Registry) -> Definitions:
        """Compile *registry*.

        Raises:
            ContractError: A metric does not fit its events.
        """
        gate = Gate(registry)
        plans = {
            metric: plan_metric(contract, events=registry.events)
            for metric, contract in registry.metrics.items()
        }
        meanings = {metric: _meaning(registry, plan) for metric, plan in plans.items()}
        return cls(registry, gate, Router(registry, gate), plans, meanings)

    def corrections(self, groups: GroupLog) -> Corrections:
        """Return fresh correction state that finds earlier events in *groups*."""
        return Corrections(self.registry.events.values(), amend=self.gate.amended, log=groups)


def _meaning(registry: Registry, plan: MetricPlan) -> str:
    contract = plan.contract
    shape = (contract.dimensions, contract.windows, plan.scale, plan.whole, plan.currency)
    parts = [registry.fingerprint(contract), repr(shape)]
    parts += [
        registry.fingerprint(registry.events[ref])
        for ref in sorted(plan.contract.refs)
        if ref in registry.events
    ]
    return sha256("\n".join(parts).encode()).hexdigest()
