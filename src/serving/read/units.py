"""The unit of a number: fixed by its contract, or the currency that its events have.

Where the currency cannot be known (no event yet, several currencies, an event without one) there is
no unit: the name of the dimension is none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agentflow.metrics import MetricPlan
from serving.read.metric_query import MetricQuery


def unit_of(plan: MetricPlan, dimensions: Mapping[str, object]) -> str | None:
    """Return the unit of a number with these dimensions; None where it cannot be known."""
    if plan.currency is None:
        return plan.contract.unit
    held = dimensions.get(plan.currency)
    return None if held is None else str(held)


def unit_of_total(query: MetricQuery, currencies: Collection[object]) -> str | None:
    """Return the unit of the one number over all groups, which are of these currencies."""
    currency = query.plan.currency
    if currency is None or currency in query.where:
        return unit_of(query.plan, query.where)
    held = set(currencies)
    return unit_of(query.plan, {currency: held.pop()} if len(held) == 1 else {})
