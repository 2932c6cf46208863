"""What judging costs, beside pydantic doing the same checks on the same bytes.

`pytest tests/bench/test_gate.py -m bench -s` prints microseconds of CPU an event, best round.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from time import process_time
from typing import Annotated, Literal

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from agentflow.clock import to_rfc3339
from agentflow.contracts import Registry
from agentflow.events import RawEvent
from agentflow.lint import load
from processing.transformations import Router
from quality import Accepted, Gate

pytestmark = pytest.mark.bench
NOW_US = 1_795_252_802_000_000
EVENTS = 2_000
ROUNDS = 25
Amount = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=20, decimal_places=2)]
Key = Annotated[str, Field(max_length=64)]
Currency = Literal["EUR", "USD", "GBP", "CHF", "CAD", "AUD"]
Channel = Literal["web", "ios", "android", "store"]


class OrderData(BaseModel):
    """`order.created@1` as a person would write it for pydantic."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    order_id: Annotated[str, Field(min_length=1, max_length=64)]
    amount: Amount
    currency: Currency
    user_id: Key | None = None
    session_id: Key | None = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    channel: Channel | None = None
    product_id: Key | None = None
    quantity: Annotated[int, Field(ge=1, le=10_000)] | None = None
    price: Amount | None = None

    @model_validator(mode="after")
    def _amount_fits(self) -> OrderData:
        if self.quantity is not None and self.price is not None:
            _ = self.amount == self.quantity * self.price  # the contract only warns
        return self


class OrderEnvelope(BaseModel):
    """The CloudEvents attributes the gate reads."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1, max_length=1024)]
    source: Annotated[str, Field(min_length=1, max_length=1024)]
    type: Literal["order.created"]
    specversion: Literal["1.0"] = "1.0"
    time: AwareDatetime
    subject: str | None = None
    data: OrderData


@pytest.fixture(scope="module")
def shop() -> Registry:
    return load(Path(__file__).parents[2] / "contracts")


def raws(name: str, chance: random.Random) -> list[RawEvent]:
    """Make events that repeat as little as those of a busy day do."""
    return [_raw(name, chance) for _ in range(EVENTS)]


def _raw(name: str, chance: random.Random) -> RawEvent:
    quantity, cents = chance.randint(1, 5), chance.randint(100, 50_000)
    place = {"country": chance.choice(["DE", "FR", "US"]), "channel": chance.choice(["web", "ios"])}
    session = f"S-{chance.randrange(10**6)}"
    data = {
        "order.created": {
            "order_id": f"ORD-{chance.randrange(10**9)}",
            "amount": f"{Decimal(cents * quantity) / 100:.2f}",
            "currency": "EUR",
            "user_id": f"U-{chance.randrange(10**5)}",
            "session_id": session,
            "product_id": f"P-{chance.randrange(1000)}",
            "quantity": quantity,
            "price": f"{Decimal(cents) / 100:.2f}",
        },
        "payment.captured": {
            "payment_id": f"PAY-{chance.randrange(10**9)}",
            "order_id": f"ORD-{chance.randrange(10**9)}",
            "amount": f"{Decimal(cents) / 100:.2f}",
            "currency": "USD",
            "method": "card",
            "processing_ms": chance.randrange(3000),
        },
        "page.clicked": {"session_id": session, "element": "add_to_cart", "page": "/p/1"},
        "page.viewed": {"session_id": session, "page": "/p/1", "load_ms": chance.randrange(900)},
    }[name]
    document = {
        "specversion": "1.0",
        "id": f"{chance.getrandbits(128):032x}",
        "source": "/shop/web",
        "type": name,
        "time": to_rfc3339(NOW_US - chance.randrange(3_600_000_000)),
        "data": data | place,
    }
    return RawEvent(json.dumps(document).encode(), "default", NOW_US)


def cost_us(work: Callable[[], Sequence[object]]) -> float:
    """Return microseconds of CPU an item, of the best round: the others met another process."""
    rounds = []
    for _ in range(ROUNDS):
        start = process_time()
        count = len(work())
        rounds.append((process_time() - start) / count * 1e6)
    return min(rounds)


def test_judging_costs_less_than_pydantic_alone(shop: Registry) -> None:
    """ADR 0005: the gate also checks rules, enriches, identifies and dates, and is still ahead."""
    gate, router, chance = Gate(shop), Router(shop, Gate(shop)), random.Random(1)
    validate = OrderEnvelope.model_validate_json
    costs: dict[str, float] = {}

    for name in ("order.created", "payment.captured", "page.clicked", "page.viewed"):
        events = raws(name, chance)
        verdicts = [gate.judge(raw) for raw in events]
        accepted = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
        records = [gate.encode(verdict.event) for verdict in accepted]
        ref = accepted[0].event.ref
        assert len(accepted) == EVENTS
        costs[f"{name}: judge"] = cost_us(lambda e=events: [gate.judge(raw) for raw in e])  # type: ignore[misc]
        costs[f"{name}: encode"] = cost_us(lambda a=accepted: [gate.encode(v.event) for v in a])  # type: ignore[misc]
        costs[f"{name}: decode"] = cost_us(lambda r=records, f=ref: [gate.decode(f, b) for b in r])  # type: ignore[misc]
        costs[f"{name}: route"] = cost_us(
            lambda e=events, a=accepted: [router.route(r, v) for r, v in zip(e, a, strict=True)]  # type: ignore[misc]
        )
        if name == "order.created":
            costs["order.created: pydantic"] = cost_us(
                lambda e=events: [validate(raw.value) for raw in e]  # type: ignore[misc]
            )
            costs["order.created: examine"] = cost_us(
                lambda e=events: [gate.examine(raw) for raw in e[:500]]  # type: ignore[misc]
            )

    for name, cost in costs.items():
        print(f"{name:28s} {cost:7.2f} us")
    assert costs["order.created: judge"] < costs["order.created: pydantic"]
