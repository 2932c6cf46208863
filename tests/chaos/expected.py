"""Every shipped metric in plain Python, over what was sent: shares nothing with the product."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from math import ceil
from typing import Any

from tests.chaos.shop import Document

Number = Decimal | None
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Happened:
    """An event that counts, with the fields it has after all corrections."""

    type: str
    at: datetime
    data: Mapping[str, Any]

    def get(self, name: str) -> Any:  # noqa: ANN401 - JSON
        return self.data.get(name)


Events = list[Happened]
Formula = Callable[["Cell"], Number]


def settled(documents: Iterable[Document]) -> Events:
    """Apply cancellations and updates; the order of *documents* does not matter."""
    ordered = sorted(documents, key=lambda each: (_at(each), each["id"]))
    cancelled = {each["data"]["order_id"] for each in ordered if each["type"] == "order.cancelled"}
    changes: dict[str, dict[str, Any]] = defaultdict(dict)
    for each in ordered:
        if each["type"] == "order.updated":
            changes[each["data"]["order_id"]].update(each["data"])
    found = []
    for each in ordered:
        data = each["data"]
        if each["type"] == "order.created":
            if data["order_id"] in cancelled:
                continue
            data = {**data, **changes[data["order_id"]]}
        found.append(Happened(each["type"], _at(each), data))
    return found


def _at(document: Document) -> datetime:
    return datetime.fromisoformat(document["time"])


class Cell:
    """The events of one window and one combination of dimensions."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def of(self, *types: str) -> Events:
        return [event for event in self._events if event.type in types]

    def count(self, *types: str, where: Callable[[Happened], object] = bool) -> Decimal:
        return Decimal(sum(1 for event in self.of(*types) if where is bool or where(event)))

    def numbers(self, kind: str, name: str) -> list[Decimal]:
        return [Decimal(e.get(name)) for e in self.of(kind) if e.get(name) is not None]

    def total(self, kind: str, name: str) -> Decimal:
        return sum(self.numbers(kind, name), Decimal(0))

    def distinct(self, name: str, *types: str) -> Decimal:
        return Decimal(len({e.get(name) for e in self.of(*types)} - {None}))

    def quantile(self, values: list[Decimal], share: float) -> Number:
        return sorted(values)[ceil(share * len(values)) - 1] if values else None


def divided(above: Number, below: Number, places: int) -> Number:
    """Divide, and round once, to the metric's; half goes away from zero."""
    if above is None or not below:
        return None
    with localcontext() as context:
        context.prec = 80  # so many digits that none is rounded twice
        return (above / below).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def _average(values: list[Decimal], places: int) -> Number:
    return divided(sum(values, Decimal(0)), Decimal(len(values)), places)


_VISITS = ("page.viewed", "page.clicked", "cart.item_added")
_PAID = ("payment.failed", "payment.captured")


def _size(event: Happened) -> str:
    amount = Decimal(event.get("amount"))
    return "small" if amount < 50 else "medium" if amount < 250 else "large"


def _click(event: Happened) -> str:
    if event.get("element") in {"add_to_cart", "buy_now", "checkout"}:
        return "purchase"
    return "navigation" if event.get("element").startswith("nav_") else "content"


def _risky(event: Happened) -> bool:
    return Decimal(event.get("amount")) >= 1000 and (event.get("attempt") or 1) > 1


def _stands(event: Happened) -> bool:
    return (event.get("reason") or "returned") != "order_cancelled"


def _units(events: Events) -> Decimal:
    return Decimal(sum(e.get("quantity") or 1 for e in events))


def _merchandise(events: Events) -> Decimal:
    return sum(
        (
            Decimal(e.get("price")) * e.get("quantity")
            for e in events
            if e.get("price") is not None and e.get("quantity") is not None
        ),
        Decimal(0),
    )


def _resolution(event: Happened) -> Decimal:
    opened, resolved = (
        datetime.fromisoformat(event.get(name)) for name in ("opened_at", "resolved_at")
    )
    return Decimal((resolved - opened).total_seconds() * 1000).to_integral_value(ROUND_HALF_UP)


def _standing_refunds(cell: Cell) -> Decimal:
    refunds = [Decimal(e.get("amount")) for e in cell.of("payment.refunded") if _stands(e)]
    return sum(refunds, Decimal(0))


def _resolutions(cell: Cell) -> list[Decimal]:
    return [_resolution(event) for event in cell.of("support.ticket_resolved")]


DIMENSIONS: dict[str, Callable[[Happened], Any]] = {
    "order_size": lambda e: _size(e) if e.type == "order.created" else None,
    "click_class": lambda e: _click(e) if e.type == "page.clicked" else None,
}

FORMULAS: dict[tuple[str, int], Formula] = {
    ("active_sessions", 1): lambda c: c.distinct("session_id", *_VISITS),
    ("avg_order_value", 1): lambda c: _average(c.numbers("order.created", "amount"), 2),
    ("avg_satisfaction", 1): lambda c: _average(
        c.numbers("support.ticket_resolved", "satisfaction"), 2
    ),
    ("cancellation_rate", 1): lambda c: divided(
        c.distinct("order_id", "order.cancelled"),
        c.distinct("order_id", "order.cancelled") + c.count("order.created"),
        4,
    ),
    ("chaos_orders", 1): lambda c: c.count("order.created"),
    ("cart_units", 1): lambda c: _units(c.of("cart.item_added")),
    ("clicks", 1): lambda c: c.count("page.clicked"),
    ("conversion_rate", 1): lambda c: divided(
        c.distinct("session_id", "order.created"),
        c.distinct("session_id", *_VISITS, "order.created"),
        4,
    ),
    ("distinct_buyers", 1): lambda c: c.distinct("user_id", "order.created"),
    ("error_rate", 1): lambda c: divided(c.count("payment.failed"), c.count(*_PAID), 4),
    ("fastest_payment", 1): lambda c: min(
        c.numbers("payment.captured", "processing_ms"), default=None
    ),
    ("gross_merchandise_value", 1): lambda c: _merchandise(c.of("order.created")),
    ("large_order_share", 1): lambda c: divided(
        c.count("order.created", where=lambda e: _size(e) == "large"), c.count("order.created"), 4
    ),
    ("largest_order", 1): lambda c: max(c.numbers("order.created", "amount"), default=None),
    ("median_resolution_time", 1): lambda c: c.quantile(_resolutions(c), 0.5),
    ("net_captured", 1): lambda c: (
        c.total("payment.captured", "amount") - c.total("payment.refunded", "amount")
    ),
    ("order_count", 1): lambda c: c.count("order.created"),
    ("p75_page_load", 1): lambda c: c.quantile(c.numbers("page.viewed", "load_ms"), 0.75),
    ("p95_payment_time", 1): lambda c: c.quantile(
        c.numbers("payment.captured", "processing_ms"), 0.95
    ),
    ("page_views", 1): lambda c: c.count("page.viewed"),
    ("payment_failures", 1): lambda c: c.count("payment.failed"),
    ("price_changes", 1): lambda c: c.count(
        "product.updated", where=lambda e: e.get("price") is not None
    ),
    ("purchase_click_share", 1): lambda c: divided(
        c.count("page.clicked", where=lambda e: _click(e) == "purchase"), c.count("page.clicked"), 4
    ),
    ("refund_rate", 1): lambda c: divided(
        c.distinct("payment_id", "payment.refunded"),
        c.distinct("payment_id", "payment.captured"),
        4,
    ),
    ("revenue", 1): lambda c: c.total("order.created", "amount"),
    ("revenue", 2): lambda c: c.total("order.created", "amount") - _standing_refunds(c),
    ("risky_payments", 1): lambda c: c.count("payment.initiated", where=_risky),
    ("stock_movement", 1): lambda c: c.total("stock.changed", "change"),
    ("stockouts", 1): lambda c: Decimal(
        len({e.get("product_id") for e in c.of("stock.changed") if e.get("level") == 0})
    ),
    ("support_backlog", 1): lambda c: (
        c.count("support.ticket_opened") - c.count("support.ticket_resolved")
    ),
    ("support_tickets_opened", 1): lambda c: c.count("support.ticket_opened"),
    ("technical_error_rate", 1): lambda c: divided(
        c.count("payment.failed", where=lambda e: e.get("reason") in {"timeout", "gateway_error"}),
        c.count(*_PAID),
        4,
    ),
    ("units_sold", 1): lambda c: _units(c.of("order.created")),
}


def cells(
    formula: Formula,
    events: Events,
    *,
    by: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
) -> dict[Key, Number]:
    """Return the metric's value for each combination of dimensions that any event has."""
    grouped: dict[Key, Events] = defaultdict(list)
    for event in events:
        if (start is None or event.at >= start) and (end is None or event.at < end):
            key = tuple(DIMENSIONS.get(name, lambda e, n=name: e.get(n))(event) for name in by)
            grouped[key].append(event)
    return {key: formula(Cell(found)) for key, found in grouped.items()}
