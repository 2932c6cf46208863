"""Seeded events of a shop, as their senders write them: no code of the product."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

Document = dict[str, Any]
SOURCE = "/chaos"
COUNTRIES = [None, "DE", "FR", "GB"]
CHANNELS = [None, "web", "ios", "store"]
METHODS = [None, "card", "paypal"]
CURRENCIES = ["EUR", "USD"]
_TYPES = {
    "order.created": 5,
    "order.updated": 3,
    "order.cancelled": 2,
    "payment.initiated": 1,
    "payment.captured": 2,
    "payment.failed": 1,
    "payment.refunded": 2,
    "page.viewed": 2,
    "page.clicked": 2,
    "cart.item_added": 1,
    "product.updated": 1,
    "stock.changed": 1,
    "support.ticket_opened": 1,
    "support.ticket_resolved": 1,
}


class Shop:
    """An endless source of valid events. Ids carry *name*, so that two shops never share one.

    Corrections and refunds name orders and payments that exist, that will exist or never do; they
    may be sent before what they correct.
    """

    def __init__(self, name: str, random: Random) -> None:
        self._name = name
        self._random = random
        self._number = 0
        self._orders = 0

    def event(self) -> Document:
        """Return the next event."""
        random = self._random
        kind = random.choices(list(_TYPES), list(_TYPES.values()))[0]
        self._number += 1
        occurred_at = datetime.now(UTC) - timedelta(
            microseconds=random.choice([0, 10**6, 10**8, 36 * 10**8, 7 * 10**10]) * random.random()
        )
        at = occurred_at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        data = getattr(self, "_" + kind.replace(".", "_"))(occurred_at)
        return {
            "id": f"{self._name}-{self._number}",
            "source": SOURCE,
            "type": kind,
            "time": at,
            "data": {name: value for name, value in data.items() if value is not None},
        }

    def spoiled(self) -> bytes:
        """Return what no gate accepts."""
        self._number += 1
        return self._random.choice(
            [
                b'{"id": "bad-%d", "type": "no.such", "data": {}}' % self._number,
                b'{"id": "bad", "type": "order.created", "data": {"order_id": 7}}',
                b"{",
                b"[1, 2",
                b'"text"',
                b'{"type": "order.created", "data": {"amount": NaN}}',
            ]
        )

    def _pick(self, *values: object) -> object:
        return self._random.choice(values)

    def _money(self, low: float = 1) -> str:
        return f"{self._random.uniform(low, 1500):.2f}"

    def _order(self) -> str:
        return (
            f"{self._name}-O{self._random.randrange(max(self._orders - 40, 0), self._orders + 3)}"
        )

    def _where(self) -> Document:
        return {"country": self._pick(*COUNTRIES), "channel": self._pick(*CHANNELS)}

    def _session(self) -> str:
        return f"{self._name}-S{self._random.randrange(50)}"

    def _order_created(self, _: datetime) -> Document:
        self._orders += 1
        return {
            "order_id": f"{self._name}-O{self._orders}",
            "amount": self._money(0),
            "currency": self._pick(*CURRENCIES),
            "user_id": self._pick(None, f"U{self._random.randrange(40)}"),
            "session_id": self._pick(None, self._session()),
            "quantity": self._pick(None, 1, 2, 7),
            "price": self._pick(None, "9.99", "120.00"),
            **self._where(),
        }

    def _order_updated(self, _: datetime) -> Document:
        amount = self._pick(None, self._money(0))
        return {
            "order_id": self._order(),
            "amount": amount,
            "currency": None if amount is None else self._pick(*CURRENCIES),
            "quantity": self._pick(1, 3, 5) if amount is None else self._pick(None, 4),
        }

    def _order_cancelled(self, _: datetime) -> Document:
        reason = self._pick(None, "fraud", "out_of_stock")
        return {"order_id": self._order(), "reason": reason, **self._where()}

    def _payment(self) -> Document:
        return {
            "payment_id": f"{self._name}-P{self._random.randrange(60)}",
            "order_id": self._order(),
            "amount": self._money(),
            "currency": self._pick(*CURRENCIES),
            "method": self._pick(*METHODS),
            **self._where(),
        }

    def _payment_initiated(self, _: datetime) -> Document:
        return {**self._payment(), "attempt": self._pick(None, 1, 2, 3)}

    def _payment_captured(self, _: datetime) -> Document:
        return {**self._payment(), "processing_ms": self._pick(None, self._random.randrange(900))}

    def _payment_failed(self, _: datetime) -> Document:
        reason = self._pick("declined", "timeout", "gateway_error", "expired_card")
        return {**self._payment(), "reason": reason}

    def _payment_refunded(self, _: datetime) -> Document:
        return {**self._payment(), "reason": self._pick(None, "returned", "order_cancelled")}

    def _page_viewed(self, _: datetime) -> Document:
        load_ms = self._pick(None, self._random.randrange(2000))
        return {"session_id": self._session(), "page": "/", "load_ms": load_ms, **self._where()}

    def _page_clicked(self, _: datetime) -> Document:
        element = self._pick("add_to_cart", "checkout", "nav_home", "picture")
        return {"session_id": self._session(), "element": element, **self._where()}

    def _cart_item_added(self, _: datetime) -> Document:
        quantity = self._pick(None, 1, 4)
        item = {"session_id": self._session(), "product_id": "P1", "quantity": quantity}
        return {**item, **self._where()}

    def _product_updated(self, _: datetime) -> Document:
        price = self._pick(None, self._money())
        return {
            "product_id": "P1",
            "category": self._pick(None, "shoes", "hats"),
            "price": price,
            "currency": None if price is None else self._pick(*CURRENCIES),
        }

    def _stock_changed(self, _: datetime) -> Document:
        return {
            "product_id": f"P{self._random.randrange(9)}",
            "warehouse": self._pick("BER1", "LYS2"),
            "change": self._random.randrange(-50, 50),
            "level": self._pick(None, 0, 0, 12),
            "reason": self._pick(None, "sale", "delivery"),
        }

    def _support_ticket_opened(self, _: datetime) -> Document:
        topic = self._pick("delivery", "other")
        ticket = {"ticket_id": f"{self._name}-T{self._number}", "topic": topic}
        priority, country = self._pick(None, "high"), self._pick(*COUNTRIES)
        return {**ticket, "priority": priority, "country": country}

    def _support_ticket_resolved(self, occurred_at: datetime) -> Document:
        opened_at = occurred_at - timedelta(milliseconds=self._random.randrange(10**6))
        return {
            "ticket_id": f"{self._name}-T{self._number}",
            "topic": self._pick("delivery", "other"),
            "opened_at": opened_at.isoformat(timespec="microseconds"),
            "resolved_at": occurred_at.isoformat(timespec="microseconds"),
            "satisfaction": self._pick(None, 1, 3, 5),
            "country": self._pick(*COUNTRIES),
        }
