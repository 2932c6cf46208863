"""The gate of a stream as a process: each raw record is answered for once, whatever is cut off."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agentflow.clock import ManualClock
from agentflow.errors import UnavailableError
from agentflow.events import EventRef
from agentflow.lint import load
from agentflow.supervision import Supervisor
from agentflow.timers import ManualTimers
from ingestion.gate.port import GateProgress, SupersededError
from ingestion.log.port import DEAD_LETTERS, DUPLICATES, VALIDATED, NewRecord
from processing.stream_gate.gate import GateThread
from processing.transformations.stream import StreamGate
from quality import Gate
from tests.chaos.servers import until
from tests.fakes.gate_bus import MemoryGateBus, Server

NOW_US = 1_796_000_000_000_000
SHOP = load(Path(__file__).parents[3] / "contracts")
STREAM_GATE = StreamGate(SHOP)
GATE = Gate(SHOP)

Order = tuple[str, str]
"""Id and amount."""


def record(order: Order | None) -> NewRecord:
    if order is None:
        return NewRecord(None, b"not json", {"tenant": "acme"}, NOW_US)
    name, amount = order
    data = {"order_id": name, "amount": amount, "currency": "EUR", "country": "DE"}
    event = {"id": name, "source": "/shop", "type": "order.created", "data": data}
    return NewRecord(None, json.dumps(event).encode(), {"tenant": "acme"}, NOW_US)


def gate_on(bus: MemoryGateBus) -> GateThread:
    timers = ManualTimers(ManualClock(NOW_US))
    supervisor = Supervisor(timers.clock, timers)
    return GateThread(bus, STREAM_GATE, raw_topic="raw", supervisor=supervisor)


ORDERS = st.none() | st.tuples(st.sampled_from("abcd"), st.sampled_from(["1.00", "2.00"]))
STEPS = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.sampled_from(["go", "stale", "before", "after"])),
    max_size=12,
)


@given(
    partitions=st.lists(st.lists(ORDERS, max_size=6), min_size=1, max_size=2),
    steps=STEPS,
    at_once=st.integers(1, 4),
)
def test_each_record_is_answered_for_once(
    partitions: list[list[Order | None]],
    steps: Sequence[tuple[int, str]],
    at_once: int,
) -> None:
    """Two gates in any order, suspended and cut off at commits: one outcome, one identity."""
    server = Server([[record(order) for order in orders] for orders in partitions])
    buses = [MemoryGateBus(server, holder=str(n)) for n in range(2)]
    gates = [gate_on(bus) for bus in buses]
    for gate in gates:
        gate.at_once = at_once
    progresses: list[GateProgress] = [buses[0].progress(), buses[1].progress()]

    for which, what in steps:
        if what != "stale":
            progresses[which] = buses[which].progress()
        buses[which].cut = what if what in {"before", "after"} else None
        try:
            progresses[which] = gates[which].judge(progresses[which])
        except (SupersededError, UnavailableError):
            progresses[which] = buses[which].progress()
        finally:
            buses[which].cut = None
    while server.positions != {n: len(orders) for n, orders in enumerate(partitions) if orders}:
        gates[0].judge(buses[0].progress())

    outcomes = [new for written in server.topics.values() for new in written]
    places = {(new.headers["raw_partition"], new.headers["raw_offset"]) for new in outcomes}
    sent = [order for orders in partitions for order in orders]
    assert len(places) == len(outcomes) == len(sent)
    counted = [amount_of(new) for new in server.topics.get(VALIDATED, [])]
    events = [order for order in sent if order is not None]
    assert len(counted) == len(dict(counted)) == len(dict(events))
    same = sum(dict(counted)[name] == amount for name, amount in events)
    assert len(server.topics.get(DUPLICATES, [])) == same - len(counted)
    reasons = Counter(new.headers["reason"] for new in server.topics.get(DEAD_LETTERS, []))
    assert reasons["id_conflict"] == len(events) - same
    assert reasons["malformed_json"] == len(sent) - len(events)


def amount_of(new: NewRecord) -> Order:
    event = GATE.decode(EventRef(new.headers["type"], int(new.headers["version"])), new.value)
    return event.id, f"{event.data.amount:f}"  # type: ignore[attr-defined]


def test_a_gate_that_cannot_reach_its_bus_goes_on_by_itself() -> None:
    """It says that it fails, and since when; an answer that was lost repeats nothing."""
    server = Server([[record((f"o{n}", "1.00")) for n in range(3)]])
    bus = MemoryGateBus(server)
    bus.cut = "after"
    timers = ManualTimers(ManualClock(NOW_US))
    supervisor = Supervisor(timers.clock, timers)
    gate = GateThread(bus, STREAM_GATE, raw_topic="raw", supervisor=supervisor)
    gate.start()
    try:
        until(lambda: timers.waiters, seconds=10, what="a pause")
        (failing,) = [each for each in supervisor.statuses() if each.state == "failing"]
        timers.advance(timedelta(seconds=1))
        until(
            lambda: not [each for each in supervisor.statuses() if each.state == "failing"],
            seconds=10,
            what="going on",
        )
    finally:
        gate.close()

    assert (failing.name, "cut off" in str(failing.reason)) == ("gate", True)
    assert len(server.topics[VALIDATED]) == 3
    assert DUPLICATES not in server.topics
    assert server.leader is None


def test_of_two_gates_one_waits() -> None:
    """The work is done once; the second asks now and then."""
    server = Server([[]])
    first, second = (gate_on(MemoryGateBus(server, holder=name)) for name in "ab")
    first.start()
    until(lambda: first.leads, seconds=10, what="leading")
    second.start()
    assert not second.leads
    first.close()
    second.close()
