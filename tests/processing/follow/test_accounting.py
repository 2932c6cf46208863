"""Accounts of raw offsets: right in any order, with repetitions, holes and restarts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processing.follow import accounting
from processing.follow.accounting import Accounted, Accounts, Hole

OFFSETS = st.lists(st.integers(0, 30), max_size=60)
PLACED = st.lists(st.tuples(st.sampled_from(["raw/0", "raw/1"]), st.integers(0, 12)), max_size=40)


def frontier_of(seen: set[int], base: int) -> int:
    """The definition: the first offset from the base on that was not seen."""
    return next(offset for offset in range(base, 100) if offset not in seen)


@given(offsets=OFFSETS, base=st.integers(0, 5))
def test_the_frontier_is_the_first_offset_that_was_not_seen(offsets: list[int], base: int) -> None:
    """In whatever order and however often they come."""
    account, seen = Accounted(base), set[int]()
    for offset in offsets:
        new = account.add(offset)
        assert new == (offset < base or offset not in seen)
        if offset >= base:
            seen.add(offset)

    assert account.frontier == frontier_of(seen, base)
    ahead = {o for start, stop in account.ahead for o in range(start, stop)}
    assert ahead == {offset for offset in seen if offset > account.frontier}
    assert account.count == base + len(seen)
    for end in range(40):
        assert account.missing(end) == len(set(range(base, end)) - seen)


@given(offsets=OFFSETS)
def test_stretches_are_disjoint_and_do_not_touch(offsets: list[int]) -> None:
    """Else they would not be few."""
    account = Accounted(0)
    for offset in offsets:
        account.add(offset)

    edges = [account.frontier, *(edge for stretch in account.ahead for edge in stretch)]
    assert edges == sorted(set(edges))


@given(offsets=OFFSETS, to=st.integers(0, 35), later=OFFSETS)
def test_a_jump_passes_over_exactly_what_is_missing(
    offsets: list[int], to: int, later: list[int]
) -> None:
    """And nothing that comes afterwards is taken for new below the frontier."""
    account, seen = Accounted(0), set(offsets)
    for offset in offsets:
        account.add(offset)

    skipped = account.jump(to)
    gone = {offset for offset in range(to) if offset not in seen}
    seen |= gone
    assert skipped == account.jumped == len(gone)
    assert account.frontier == frontier_of(seen, 0)
    for offset in later:
        assert account.add(offset) == (offset not in seen)
        seen.add(offset)


@given(placed=PLACED, cuts=st.sets(st.integers(0, 40)), begin=st.sampled_from(["start", "later"]))
def test_stored_accounts_go_on_where_they_were(
    placed: list[tuple[str, int]], cuts: set[int], begin: str
) -> None:
    """A process that ends at any point and starts again knows what it knew."""
    from_start = begin == "start"
    model, accounts = Accounts(from_start=from_start), Accounts(from_start=from_start)
    stored: dict[tuple[str, str], int] = {}
    for number, (place, offset) in enumerate(placed):
        assert accounts.add(place, offset) == model.add(place, offset)
        for row, value in accounts.changes().items():
            if value is None:
                del stored[row]
            else:
                stored[row] = value
        if number in cuts:
            accounts = Accounts.load(stored, from_start=from_start)

    assert accounts.frontiers() == model.frontiers()
    assert {p: a.ahead for p, a in accounts} == {p: a.ahead for p, a in model}


def test_only_changes_are_stored() -> None:
    """A delivery of ten events must not write ten thousand stretches again."""
    accounts = Accounts(from_start=True)
    for offset in range(2, 200, 2):
        accounts.add("raw/0", offset)
    accounts.changes()

    accounts.add("raw/0", 3)
    changed = accounts.changes()

    assert changed == {(accounting.AHEAD, "raw/0:2"): 5, (accounting.AHEAD, "raw/0:4"): None}
    assert accounts.changes() == {}


def test_a_hole_is_known_by_what_came_behind_it() -> None:
    """Offsets that do not exist never arrive: somebody has to ask."""
    account = Accounted(0)
    assert account.hole is None
    account.add(0)
    account.add(4)

    assert account.hole == Hole(1, 4)
    assert account.jump(4) == 3
    assert (account.frontier, account.hole) == (5, None)


def test_memory_is_bounded() -> None:
    """Whatever comes, the account keeps so many stretches and no more; what it gives up counts."""
    account = Accounted(0)
    for offset in range(1, 2 * accounting.MAX_STRETCHES + 100, 2):
        account.add(offset)

    assert len(account.ahead) == accounting.MAX_STRETCHES
    assert account.jumped > 0


def test_an_account_that_begins_later_knows_nothing_of_before() -> None:
    """The lake has that; a dead letter from there must not be taken for one that was seen."""
    accounts = Accounts(from_start=False)

    assert accounts.add("raw/0", 90)
    assert accounts.add("raw/0", 7)
    assert accounts.frontiers() == {"raw/0": 91}
