"""A dry run says what really happens when the same event is sent."""

from __future__ import annotations

from random import Random

import pytest

from agentflow.contracts import Registry
from agentflow.events import Event, RawEvent
from agentflow.lint import load
from agentflow.metrics import measure
from agentflow.metrics.arithmetic import ExactValue
from processing.definitions import Definitions
from processing.live import LiveEngine
from processing.write.dry_run import DryRun, dry_run
from processing.write.identities import Known
from quality import Accepted
from tests.processing.laws.campaign import PACKS, ListedGroups
from tests.processing.laws.events import encoded, random_document
from tests.processing.laws.streams import START_US

Numbers = dict[tuple[str, int, tuple[object, ...]], ExactValue]


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    registry: Registry = load(PACKS["shop"])
    return Definitions.compile(registry)


class Shop:
    """A live engine over the shop's contracts, with all it was told."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.groups = ListedGroups(definitions)
        self.engine = LiveEngine(
            list(definitions.plans.values()),
            corrections=definitions.corrections(self.groups),
            now_us=START_US,
        )
        self.known: set[bytes] = set()

    def try_out(self, raw: RawEvent) -> DryRun:
        return dry_run(
            raw,
            definitions=self.definitions,
            engine=self.engine,
            known=lambda verdict: Known(0, None) if verdict.identity in self.known else None,
            groups=self.groups,
            now_us=START_US,
        )

    def send(self, raw: RawEvent) -> Event | None:
        verdict = self.definitions.gate.judge(raw)
        if not isinstance(verdict, Accepted) or verdict.identity in self.known:
            return None
        self.known.add(verdict.identity)
        offset = len(self.groups.log)
        self.groups.log.append((offset, verdict.event))
        self.engine.apply([(offset, verdict.event)], now_us=START_US)
        return verdict.event

    def numbers(self, tenant: str, windows: dict[tuple[str, int], str]) -> Numbers:
        found: Numbers = {}
        for metric, plan in self.engine.plans.items():
            state = self.engine.read(metric, tenant, now_us=START_US)
            window = windows.get(metric, plan.windows[0].name)
            for dims, cell in state.group(window, by=plan.dimensions).items():
                found[(*metric, dims)] = measure(plan, cell).value
        return found

    def nothing(self, metric: tuple[str, int]) -> ExactValue:
        state = self.engine.read(metric, "nobody", now_us=START_US)
        return measure(state.plan, state.merged([])).value


def order(event_id: str, *, type_: str = "order.created", **data: object) -> RawEvent:
    document: dict[str, object] = {"id": event_id, "type": type_, "data": {"order_id": "A", **data}}
    return RawEvent(encoded(document), "t", START_US)


def moves(result: DryRun) -> dict[str, tuple[object, ...]]:
    return {move.plan.contract.name: (move.before, move.after, move.moved) for move in result.moves}


def test_an_update_shows_the_difference_it_makes(definitions: Definitions) -> None:
    """As many events leave the cell as come: the sum moves all the same."""
    shop = Shop(definitions)
    shop.send(order("1", amount="10.00", currency="EUR"))

    result = shop.try_out(order("2", type_="order.updated", amount="12.50", currency="EUR"))

    found = [str(part) for part in moves(result)["revenue"]]
    assert found == ["10.00", "12.50", "2.50"]


def test_a_cancellation_shows_what_it_takes_back(definitions: Definitions) -> None:
    """A sum over nothing is zero; an average over nothing is null, so nothing can be subtracted."""
    shop = Shop(definitions)
    shop.send(order("1", amount="10.00", currency="EUR"))

    result = moves(shop.try_out(order("2", type_="order.cancelled")))

    assert [str(part) for part in result["revenue"]] == ["10.00", "0.00", "-10.00"]
    assert [str(part) for part in result["avg_order_value"]] == ["10.00", "None", "None"]


def test_a_duplicate_and_a_rejected_event_move_nothing(definitions: Definitions) -> None:
    """Nothing would happen, so nothing is shown."""
    shop = Shop(definitions)
    first = order("1", amount="10.00", currency="EUR")
    shop.send(first)

    duplicate, rejected = shop.try_out(first), shop.try_out(order("2", amount="-1"))

    assert (duplicate.duplicate, duplicate.moves) == (True, ())
    assert (rejected.duplicate, rejected.moves) == (False, ())


def test_a_late_event_shows_a_window_that_it_falls_into(definitions: Definitions) -> None:
    """It does not move the five-minute window; to show nothing would be wrong."""
    shop = Shop(definitions)
    document: dict[str, object] = {
        "id": "1",
        "type": "order.created",
        "time": "2026-03-01T20:00:00Z",
        "data": {"order_id": "A", "amount": "10.00", "currency": "EUR"},
    }

    result = shop.try_out(RawEvent(encoded(document), "t", START_US))

    assert {move.window for move in result.moves if move.plan.id == ("revenue", 2)} == {"24h"}


@pytest.mark.parametrize("seed", range(12))
def test_what_is_shown_is_what_happens(definitions: Definitions, seed: int) -> None:
    """Over random streams: every number that moves was announced, by as much, and no other."""
    random, shop = Random(seed), Shop(definitions)
    contracts = [
        contract
        for contract in definitions.registry.events.values()
        if contract.name.startswith(("order.", "payment.", "cart."))
    ]
    for number in range(40):
        contract = random.choice(contracts)
        occurred_us = START_US - random.choice([0, 10**6, 10**9, 10**10])
        document = random_document(random, contract, occurred_us=occurred_us, event_id=f"e{number}")
        raw = RawEvent(encoded(document), random.choice("tu"), START_US)

        result = shop.try_out(raw)
        windows = {move.plan.id: move.window for move in result.moves}
        before = shop.numbers(raw.tenant, windows)
        event = shop.send(raw)
        after = shop.numbers(raw.tenant, windows)

        if event is None:
            assert not result.moves
            continue
        shown = {
            (*move.plan.id, tuple(move.dimensions.values())): (move.before, move.after)
            for move in result.moves
        }
        really = {
            key: (before.get(key, shop.nothing(key[:2])), after.get(key, shop.nothing(key[:2])))
            for key in before.keys() | after.keys()
            if before.get(key, shop.nothing(key[:2])) != after.get(key, shop.nothing(key[:2]))
        }
        unequal = {key: value for key, value in shown.items() if value[0] != value[1]}
        assert unequal == really, f"seed {seed}, event {number}: {document}"
