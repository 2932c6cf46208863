"""The graph is computed, so it cannot disagree with what the engine does."""

from agentflow.contracts import Node, Registry, graph


def test_moved_by_equals_the_arrows_into_a_metric(shop: Registry) -> None:
    """Two sources of one truth are checked against each other."""
    drawn = graph(shop)

    for metric in shop.metrics.values():
        arrows = drawn.reaching(Node("metric", f"{metric.name}@{metric.version}"))
        assert {arrow.source.name for arrow in arrows} == set(metric.moved_by)


def test_arrows_name_the_declared_fields_they_carry(shop: Registry) -> None:
    """`order_size` comes from `amount`, and an update of the amount amends it."""
    arrows = {
        (arrow.source.name, arrow.kind): arrow.fields
        for arrow in graph(shop).reaching(Node("metric", "large_order_share@1"))
    }

    assert arrows == {
        ("order.cancelled@1", "takes_back"): (),
        ("order.created@1", "moves"): ("amount", "channel", "country"),
        ("order.updated@1", "amends"): ("amount",),
    }


def test_dimensions_entities_and_relations_are_in_it(shop: Registry) -> None:
    """One picture answers who reads this event."""
    drawn = graph(shop)
    revenue = Node("metric", "revenue@2")
    order = Node("entity", "order@1")

    assert {arrow.target.name for arrow in drawn.leaving(revenue)} == {
        "currency",
        "country",
        "channel",
    }
    assert {arrow.target.name for arrow in drawn.leaving(order)} == {
        "user@1",
        "product@1",
        "session@1",
    }
    assert all(arrow.source in drawn.nodes for arrow in drawn.edges)
