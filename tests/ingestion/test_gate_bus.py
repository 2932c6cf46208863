"""The conformance suite of `GateBus`: every implementation passes all of it.

The one in memory runs here; Redis inherits the suite in `tests/stack`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pytest

from ingestion.gate.port import GateBus, GateProgress, Settlement, SupersededError
from ingestion.log.port import DUPLICATES, RAW, VALIDATED, NewRecord
from tests.fakes.gate_bus import MemoryGateBus, Server

PARTITIONS = 2


@dataclass(frozen=True)
class Gates:
    """Gates of one empty bus.

    Attributes:
        gate: Makes the gate of a name.
        send: Appends to a partition of raw.
        written: Returns the values of a followed topic.
    """

    gate: Callable[[str], GateBus]
    send: Callable[[int, Sequence[NewRecord]], None]
    written: Callable[[str], Sequence[bytes]]


def raw(*values: bytes) -> list[NewRecord]:
    """Return raw records of these values."""
    return [NewRecord(b"k", value, {"tenant": "acme"}, 7_000) for value in values]


def settled(
    *values: bytes,
    identities: Mapping[bytes, bytes] | None = None,
    positions: Mapping[int, int] | None = None,
) -> Settlement:
    """Return a settlement that writes *values* to the validated topic."""
    outcomes = [(VALIDATED, new) for new in raw(*values)]
    return Settlement(outcomes, identities or {}, positions or {0: len(values)})


class GateBusSuite:
    """What every bus of gates does. Subclasses bring the fixture `gates`, with `PARTITIONS`."""

    def test_one_gate_leads_until_it_resigns(self, gates: Gates) -> None:
        """The other waits, and takes over at once."""
        first, second = gates.gate("first"), gates.gate("second")
        assert [first.lead(), second.lead(), first.lead()] == [True, False, True]

        second.resign()  # it does not lead: nothing changes
        assert [first.lead(), second.lead()] == [True, False]
        first.resign()

        assert [second.lead(), first.lead()] == [True, False]

    def test_a_bus_has_one_lake(self, gates: Gates) -> None:
        """Gates that wrote two lakes would each write half."""
        first, second = gates.gate("first"), gates.gate("second")

        assert first.claim_lake("one")
        assert second.claim_lake("one")
        assert not second.claim_lake("other")

    def test_it_begins_at_the_beginning(self, gates: Gates) -> None:
        """With every partition of raw."""
        assert gates.gate("only").progress() == GateProgress(0, dict.fromkeys(range(PARTITIONS), 0))

    def test_a_commit_stores_all_of_it(self, gates: Gates) -> None:
        """Outcomes in order, identities, positions; another gate finds them."""
        gate = gates.gate("one")
        outcomes = [*settled(b"a", b"b").outcomes, (DUPLICATES, raw(b"c")[0])]
        settlement = Settlement(outcomes, {b"id": b"content"}, {1: 3})

        reached = gate.commit(gate.progress(), settlement)

        other = gates.gate("other")
        assert reached == other.progress() == GateProgress(1, {0: 0, 1: 3})
        assert (gates.written(VALIDATED), gates.written(DUPLICATES)) == ([b"a", b"b"], [b"c"])
        assert other.known([b"id", b"unknown"]) == {b"id": b"content"}

    def test_commits_build_upon_each_other(self, gates: Gates) -> None:
        """What a commit returns is what the next one builds upon."""
        gate = gates.gate("one")
        reached = gate.progress()
        for number in range(3):
            reached = gate.commit(reached, settled(b"%d" % number, positions={0: number + 1}))

        assert reached == gate.progress() == GateProgress(3, {0: 3, 1: 0})
        assert gates.written(VALIDATED) == [b"0", b"1", b"2"]

    def test_a_gate_that_was_overtaken_stores_nothing(self, gates: Gates) -> None:
        """It was suspended, and wakes up with a batch that another one has judged."""
        slow, quick = gates.gate("slow"), gates.gate("quick")
        asleep = slow.progress()
        quick.commit(quick.progress(), settled(b"a", identities={b"id": b"first"}))

        with pytest.raises(SupersededError):
            slow.commit(asleep, settled(b"a", identities={b"id": b"second"}, positions={1: 9}))

        assert slow.progress() == quick.progress() == GateProgress(1, {0: 1, 1: 0})
        assert gates.written(VALIDATED) == [b"a"]
        assert slow.known([b"id"]) == {b"id": b"first"}

    def test_raw_is_read_from_a_position_on(self, gates: Gates) -> None:
        """In order within each partition, as it was sent; nothing when there is no more."""
        gates.send(0, raw(b"a", b"b", b"c"))
        gates.send(1, raw(b"x", b"y"))
        gate = gates.gate("one")

        found = gate.read({0: 1, 1: 0}, limit=10)

        by_partition = {
            number: [(each.offset, each.value) for each in found if each.partition == number]
            for number in range(PARTITIONS)
        }
        assert by_partition == {0: [(1, b"b"), (2, b"c")], 1: [(0, b"x"), (1, b"y")]}
        assert {(each.topic, each.key, each.headers["tenant"]) for each in found} == {
            (RAW, b"k", "acme")
        }
        assert list(gate.read({0: 3, 1: 2}, limit=10)) == []

    def test_a_read_is_no_larger_than_asked(self, gates: Gates) -> None:
        """So many of each partition; the next read goes on behind them."""
        gates.send(0, raw(*(b"%d" % number for number in range(9))))
        gate = gates.gate("one")

        first = gate.read({0: 0}, limit=4)
        second = gate.read({0: 4}, limit=4)

        assert [each.offset for each in first] == [0, 1, 2, 3]
        assert [each.offset for each in second] == [4, 5, 6, 7]

    def test_of_no_identities_none_is_known(self, gates: Gates) -> None:
        """A batch may hold nothing that could have been counted."""
        assert gates.gate("one").known([]) == {}

    def test_what_is_not_let_go_stays(self, gates: Gates) -> None:
        """It may keep more than it has to, never less."""
        gate = gates.gate("one")
        gates.send(0, raw(b"a", b"b", b"c"))
        gate.commit(gate.progress(), settled(b"a", b"b", b"c"))

        gate.trim(before={VALIDATED: 2}, raw={0: 2})

        assert gates.written(VALIDATED)[-1] == b"c"
        assert [each.value for each in gate.read({0: 2}, limit=9)] == [b"c"]


class TestMemory(GateBusSuite):
    """What tests of the gate work on."""

    @pytest.fixture
    def gates(self) -> Gates:
        server = Server([[] for _ in range(PARTITIONS)])

        def written(topic: str) -> list[bytes]:
            return [record.value for record in server.topics.get(topic, [])]

        return Gates(
            lambda name: MemoryGateBus(server, holder=name),
            lambda partition, records: server.raw[partition].extend(records),
            written,
        )
