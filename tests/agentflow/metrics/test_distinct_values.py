"""Distinct values of all windows in one place: the same as a set for each would say."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentflow.metrics import distinct_values, seen, state
from agentflow.metrics.distinct_values import CellShare, DistinctValues, none_seen
from agentflow.metrics.hash_map import key_of
from agentflow.metrics.seen import SeenWidely

SLOTS, CELLS = 3, 3
_change = st.tuples(
    st.integers(0, CELLS - 1),
    st.dictionaries(st.integers(0, 12).map(str), st.integers(1, 3), max_size=6),
    st.sets(st.integers(0, SLOTS - 1), min_size=1).map(lambda slots: tuple(sorted(slots))),
)
CHANGES = st.lists(st.tuples(_change, st.booleans()), max_size=12)


class Sets:
    """The same by the book: a counter for every cell and slot."""

    def __init__(self) -> None:
        self.counters: dict[tuple[int, int], Counter[object]] = defaultdict(Counter)

    def add(self, cell: int, counts: dict[str, int], slots: tuple[int, ...], sign: int) -> None:
        for slot in slots:
            for value, number in counts.items():
                self.counters[cell, slot][value] += sign * number

    def cell(self, cell: int, slot: int) -> dict[object, int]:
        return {value: number for value, number in self.counters[cell, slot].items() if number}

    def total(self, slot: int) -> set[object]:
        return set().union(*(self.cell(cell, slot) for cell in range(CELLS)))


def applied(
    changes: list[tuple[tuple[int, dict[str, int], tuple[int, ...]], bool]],
) -> tuple[DistinctValues, list[CellShare], Sets]:
    """Add every change; take some of them back at once, the others at the end in another order."""
    values, sets = DistinctValues(none_seen(SLOTS)), Sets()
    cells = [values.share() for _ in range(CELLS)]
    for (cell, counts, slots), taken_back in changes:
        for sign in (1, -1) if taken_back else (1,):
            values.add(cells[cell], counts, slots, sign=sign)
            sets.add(cell, counts, slots, sign)
    return values, cells, sets


@pytest.fixture(params=[seen.MANY_CELLS, 1], ids=["few cells", "many cells"])
def many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a value of two cells be one of few, and one of many."""
    monkeypatch.setattr(seen, "MANY_CELLS", request.param)


@pytest.mark.usefixtures("many")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
def test_every_slot_counts_as_sets_of_its_own_would(changes: list[object]) -> None:
    """By cell and in total, also for values that several cells have seen."""
    values, cells, sets = applied(changes)  # type: ignore[arg-type]

    for slot in range(SLOTS):
        for number, share in enumerate(cells):
            assert share.counts(slot) == sets.cell(number, slot)
            assert share.seen[slot] == len(sets.cell(number, slot))
        assert values.seen[slot] == len(sets.total(slot)) == len(values.counts(slot))


@pytest.mark.usefixtures("many")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, more=CHANGES)
def test_a_slot_that_begins_as_a_copy_goes_its_own_way(
    changes: list[object], more: list[object]
) -> None:
    """Windows share a sum until they differ; what then happens in one is not seen in the other."""
    values, cells, sets = applied(changes)  # type: ignore[arg-type]

    list(values.copying(0, 2))
    for number, share in enumerate(cells):
        share.copy_slot(0, 2)
        sets.counters[number, 2] = sets.counters[number, 0].copy()
    for (cell, counts, slots), _ in more:  # type: ignore[misc]
        values.add(cells[cell], counts, slots, sign=1)
        sets.add(cell, counts, slots, 1)

    for slot in range(SLOTS):
        assert [share.counts(slot) for share in cells] == [
            sets.cell(number, slot) for number in range(CELLS)
        ]
        assert values.seen[slot] == len(sets.total(slot))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep values by hash from four on, and remember next to nothing."""
    monkeypatch.setattr(state, "HASHED_ABOVE", 3)
    monkeypatch.setattr(distinct_values, "_REMEMBERED", 2)
    return


@pytest.mark.usefixtures("few", "many")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, more=CHANGES)
def test_values_by_hash_count_as_values_do(changes: list[object], more: list[object]) -> None:
    """Many values are kept by hash; which they are is lost, how many they are is not."""
    values, cells, sets = applied(changes)  # type: ignore[arg-type]
    list(values.copying(0, 2))
    for number, share in enumerate(cells):
        share.copy_slot(0, 2)
        sets.counters[number, 2] = sets.counters[number, 0].copy()
    for (cell, counts, slots), _ in more:  # type: ignore[misc]
        values.add(cells[cell], counts, slots, sign=1)
        sets.add(cell, counts, slots, 1)

    for slot in range(SLOTS):
        for number, share in enumerate(cells):
            expected = keyed(sets.cell(number, slot))
            assert keyed(share.counts(slot)) == expected
            assert share.seen[slot] == len(expected)
        assert values.seen[slot] == len(sets.total(slot)) == len(values.counts(slot))
    for share in cells:
        for slot in range(SLOTS):
            values.clear(share, slot)
    assert list(values.seen) == [0] * SLOTS
    assert len(values.counts(0)) == 0


def keyed(counts: distinct_values.Counting) -> dict[bytes, int]:
    return {key_of(value): number for value, number in counts.items()}


def test_a_share_that_is_given_back_leaves_nothing() -> None:
    """Its number is used again."""
    values = DistinctValues(none_seen(SLOTS))
    first, second = values.share(), values.share()
    values.add(first, {"a": 1, "b": 2}, (0, 1), sign=1)
    values.add(second, {"a": 1}, (0,), sign=1)

    for slot in range(SLOTS):
        values.clear(first, slot)
    values.release(first)

    again = values.share()
    assert again.number == first.number
    assert (again.counts(0), second.counts(0)) == ({}, {"a": 1})
    assert list(values.seen) == [1, 0, 0]


def test_a_cell_that_a_value_has_left_is_not_remembered() -> None:
    """A guest who leaves thousands of cells would keep an entry in each."""
    everywhere = range(seen.MANY_CELLS + 1)
    guest = SeenWidely.of(dict.fromkeys(everywhere, (1, 2)), slots=2)

    for cell in everywhere:
        guest.moved((cell, (0,), -1))
        assert cell in guest.parts
        guest.moved((cell, (1,), -2))
        assert cell not in guest.parts


def test_an_event_of_a_value_costs_the_same_in_few_cells_and_in_many() -> None:
    """A guest has been everywhere: a value of 5,000 cells once cost 10 ms an event."""
    few, many = seconds_of_events(cells=10), seconds_of_events(cells=2_000)

    assert many < 8 * few


def seconds_of_events(*, cells: int) -> float:
    """Return the processor's time for 2,000 events of one value, each in another cell."""
    values = DistinctValues(none_seen(SLOTS))
    parts = [values.share() for _ in range(cells)]
    for part in parts:
        values.add(part, {"guest": 1}, (0, 1), sign=1)
    begun = time.process_time()
    for number in range(2_000):
        values.add(parts[number % cells], {"guest": 1}, (0, 1, 2), sign=1)
    return time.process_time() - begun
