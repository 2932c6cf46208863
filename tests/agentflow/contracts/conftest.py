"""Small contract packs on disk, to be broken on purpose."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentflow.contracts import Registry
from agentflow.lint import load, read_directory

PAID = """\
kind: event
name: order.paid
version: 1
status: approved
owner: shop
description: Money arrived.
key: order_id
fields:
  order_id: {type: string, required: true, max_length: 20}
  amount: {type: decimal, scale: 2, unit: currency, required: true, minimum: 0}
  currency: {type: string, required: true, enum: [EUR, USD]}
  country: {type: string}
  weight: {type: number}
  email: {type: string, pii: true}
derived:
  size: case when amount < 50 then 'small' else 'large' end
"""
CHANGED = """\
kind: event
name: order.changed
version: 1
status: approved
owner: shop
description: Another amount is owed.
key: order_id
corrects: {event: order.paid@1, on: order_id, effect: replace}
fields:
  order_id: {type: string, required: true, max_length: 20}
  amount: {type: decimal, scale: 2, unit: currency, required: true, minimum: 0}
  currency: {type: string, required: true, enum: [EUR, USD]}
"""
VOIDED = """\
kind: event
name: order.voided
version: 1
status: approved
owner: shop
description: It never was.
key: order_id
corrects: {event: order.paid@1, on: order_id, effect: retract}
fields:
  order_id: {type: string, required: true, max_length: 20}
"""
TAKINGS = """\
kind: metric
name: takings
version: 1
status: approved
owner: finance
description: Money that arrived.
unit: currency
value: sum(order.paid.amount)
moved_by: [order.changed@1, order.paid@1, order.voided@1]
dimensions: [currency, country]
windows: [5m, 1h, today, all]
examples:
  - given: [{order.paid: {order_id: A, amount: "1.00", currency: EUR}}]
    then: {currency=EUR: "1.00"}
"""
ORDER = """\
kind: entity
name: order
version: 1
status: approved
owner: shop
description: An order.
key: order_id
sources:
  - event: order.paid@1
    key: order_id
    sets: {status: "'paid'", amount: amount, size: size}
"""
FILES = {
    "events/order.paid.v1.yaml": PAID,
    "events/order.changed.v1.yaml": CHANGED,
    "events/order.voided.v1.yaml": VOIDED,
    "metrics/takings.v1.yaml": TAKINGS,
    "entities/order.v1.yaml": ORDER,
}
PACK_PAID = "events/order.paid.v1.yaml"
PACK_TAKINGS = "metrics/takings.v1.yaml"


@dataclass
class Pack:
    """A contracts directory that a test may edit."""

    directory: Path

    def write(self, file: str, text: str | bytes) -> None:
        target = self.directory / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.directory / file).read_text()
        assert old in text, f"nothing to edit in {file}"
        self.write(file, text.replace(old, new, 1))

    def load(self) -> Registry:
        return load(self.directory)

    def problems(self) -> list[str]:
        return [str(problem) for problem in read_directory(self.directory).problems]

    def line(self, file: str, text: str) -> int:
        lines = (self.directory / file).read_text().splitlines()
        return next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.fixture
def make_pack(tmp_path: Path) -> Callable[[str], Pack]:
    def make(name: str) -> Pack:
        pack = Pack(tmp_path / name)
        for file, text in FILES.items():
            pack.write(file, text)
        return pack

    return make


@pytest.fixture
def pack(make_pack: Callable[[str], Pack]) -> Pack:
    return make_pack("contracts")


@pytest.fixture(scope="session")
def shop() -> Registry:
    return load(Path(__file__).parents[3] / "contracts")
