"""The examples that metrics carry are true."""

from __future__ import annotations

import pytest

from agentflow.contracts import MetricContract, Registry
from agentflow.contracts.model import MetricExample
from agentflow.lint import load
from processing.definitions.examples import run_examples
from tests.processing.laws.campaign import PACKS

SHOP: Registry = load(PACKS["shop"])
FLIGHTS: Registry = load(PACKS["flights"])
CASES = [
    pytest.param(registry, metric, id=f"{pack}-{metric.name}@{metric.version}")
    for pack, registry in (("shop", SHOP), ("flights", FLIGHTS))
    for metric in registry.metrics.values()
]


@pytest.mark.parametrize(("registry", "metric"), CASES)
def test_a_shipped_example_holds(registry: Registry, metric: object) -> None:
    """An example is documentation that cannot lie."""
    assert isinstance(metric, MetricContract)
    results = list(run_examples(registry, metric))

    assert results, "a metric without an example explains nothing"
    assert [result for result in results if not result.met] == []


def test_an_example_that_is_wrong_says_what_came_out() -> None:
    """By cell: expected beside found."""
    metric = SHOP.metric("order_count").model_copy(
        update={
            "examples": (
                MetricExample(
                    name="wrong",
                    given=(
                        {"order.created": {"order_id": "A", "amount": "1.00", "currency": "EUR"}},
                    ),
                    then={"": 2, "order_size=small": 1},
                ),
            )
        }
    )

    first, second = run_examples(SHOP, metric)

    assert (first.met, first.expected, first.value) == (False, 2, 1)
    assert second.met


def test_an_example_whose_event_is_rejected_says_why() -> None:
    """Else it would look like a metric that counts nothing."""
    given: tuple[dict[str, dict[str, object]], ...] = ({"order.created": {"order_id": "A"}},)
    example = MetricExample(name="bad", given=given, then={"": 0})
    metric = SHOP.metric("order_count").model_copy(update={"examples": (example,)})

    (result,) = run_examples(SHOP, metric)

    assert not result.met
    assert result.problem is not None
    assert "amount" in result.problem
