"""The pack that is shipped: what the documentation promises of it."""

from agentflow.contracts import Registry
from agentflow.expressions import parse_metric
from agentflow.expressions.nodes import aggregates


def test_every_kind_of_aggregate_is_used(shop: Registry) -> None:
    """The pack is the demonstration and the largest fixture there is."""
    names = {ref.type for ref in shop.events}
    kinds = {
        aggregate.kind
        for metric in shop.metrics.values()
        for aggregate in aggregates(parse_metric(metric.value, events=names))
    }

    assert kinds == {"sum", "count", "avg", "min", "max", "distinct", "quantile"}


def test_every_metric_has_an_example_and_few_dimensions(shop: Registry) -> None:
    """An example is the only documentation that cannot rot."""
    for metric in shop.metrics.values():
        assert metric.examples, metric.name
        assert len(metric.dimensions) <= 3, metric.name


def test_one_short_line_is_a_whole_order(shop: Registry) -> None:
    """`agentflow send order.created amount=99.50 currency=EUR` fills the key itself."""
    created = shop.event("order.created")
    required = {name for name, field in created.fields.items() if field.required}

    assert required == {created.key, "amount", "currency"}


def test_every_window_kind_is_declared_somewhere(shop: Registry) -> None:
    """Steps of every tier are exercised by the shipped metrics."""
    windows = {window for metric in shop.metrics.values() for window in metric.windows}

    assert windows == {"5m", "1h", "24h", "today", "7d", "all"}
