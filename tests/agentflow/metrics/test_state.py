"""Multisets and distinct sets: exact, however many values they hold and whatever is taken back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentflow.metrics import state as states
from agentflow.metrics.state import Distinct, Multiset, scaled, unscaled

QUANTILES = [(1, 100), (1, 4), (1, 2), (19, 20), (99, 100)]


CHANGES = st.lists(
    st.tuples(
        st.dictionaries(st.integers(-400, 400), st.integers(1, 3), max_size=40), st.booleans()
    ),
    max_size=8,
)
"""Counted values; those with True are taken back at the end."""


@pytest.fixture
def soon_large(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """States are large from a few values on, and their pages full."""
    monkeypatch.setattr(states, "ORDERED_ABOVE", 6)
    monkeypatch.setattr(states, "HASHED_ABOVE", 6)
    monkeypatch.setattr("agentflow.metrics.ordered.PAGE", 4)
    return


def nearest_rank(values: list[int], q: tuple[int, int]) -> int:
    return sorted(values)[-(-q[0] * len(values) // q[1]) - 1]


@given(values=st.lists(st.integers(-50, 50), min_size=1), q=st.sampled_from(QUANTILES))
def test_a_quantile_is_the_value_at_its_nearest_rank(values: list[int], q: tuple[int, int]) -> None:
    """No interpolation: the answer is a value that occurred."""
    multiset = Multiset(0)
    for value in values:
        multiset.merge({value: 1})

    assert multiset.quantile(q) == nearest_rank(values, q)
    assert (multiset.minimum(), multiset.maximum()) == (min(values), max(values))


@given(kept=st.lists(st.integers(-5, 5)), gone=st.lists(st.integers(-5, 5)), first=st.booleans())
def test_what_is_taken_back_leaves_no_trace(
    kept: list[int],
    gone: list[int],
    first: bool,  # noqa: FBT001
) -> None:
    """Also when it is taken back before it came: corrections arrive in any order."""
    multiset, distinct, expected = Multiset(0), Distinct(), Multiset(0)
    for state in (multiset, distinct):
        for sign in (-1, 1) if first else (1, -1):
            for value in gone:
                state.merge({value: 1}, sign=sign)
        for value in kept:
            state.merge({value: 1})
    for value in kept:
        expected.merge({value: 1})

    assert multiset == expected
    assert multiset.size == len(kept)
    assert distinct.size() == len(set(kept))


@pytest.mark.usefixtures("soon_large")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, scale=st.sampled_from([0, 2]), wide=st.booleans())
def test_a_multiset_of_any_size_says_what_a_list_of_its_values_does(
    changes: list[tuple[dict[int, int], bool]],
    scale: int,
    wide: bool,  # noqa: FBT001
) -> None:
    """Extremes and ranks, while it grows beyond a dict, shrinks, and grows again."""
    multiset, expected = Multiset(scale), Counter[states.Number]()
    undone = [(counts, -1) for counts, taken_back in changes if taken_back]
    for counts, sign in [*((counts, 1) for counts, _ in changes), *undone]:
        factor = 10**20 if wide else 1
        values = {scaled(value * factor, scale): count for value, count in counts.items()}
        multiset.merge(values, sign=sign)
        for value, count in values.items():
            expected[value] += sign * count

        held = sorted(expected.elements())
        assert multiset.size == len(held)
        assert multiset.minimum() == min(held, default=None)
        assert multiset.maximum() == max(held, default=None)
        for q in QUANTILES if held else []:
            assert multiset.quantile(q) == held[-(-q[0] * len(held) // q[1]) - 1]


@pytest.mark.usefixtures("soon_large")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, seed=st.integers())
def test_large_states_merge_in_any_order_and_leave_no_trace(
    changes: list[tuple[dict[int, int], bool]], seed: int
) -> None:
    """Buckets enter and leave windows as whole states, small ones and large ones."""
    merging: list[tuple[Multiset, Distinct, int]] = []
    for counts, taken_back in changes:
        multiset, distinct = Multiset(0), Distinct()
        multiset.merge(counts)
        distinct.merge({str(value): count for value, count in counts.items()})
        merging.append((multiset, distinct, 1))
        if taken_back:
            merging.append((multiset, distinct, -1))
    kept = [counts for counts, taken_back in changes if not taken_back]
    expected = sum((Counter(counts) for counts in kept), Counter[int]())
    Random(seed).shuffle(merging)

    one, other = Multiset(0), Distinct()
    for multiset, distinct, sign in merging:
        one.merge(multiset.values, sign=sign)
        other.merge(distinct.values, sign=sign)

    assert dict(one.items()) == expected
    assert one.copy() == one
    assert (one.size, other.size()) == (expected.total(), len(expected))


def test_extremes_are_exact_above_thousands_of_values_and_after_almost_all_are_gone() -> None:
    """They were rounded to eight bits, and stayed so."""
    amounts = [Decimal(n) / 4 for n in range(4_096)]
    multiset = Multiset(2)
    multiset.merge(dict.fromkeys([*amounts, Decimal("12345.67")], 1))
    above = multiset.minimum(), multiset.maximum(), multiset.quantile((1, 2))

    multiset.merge(dict.fromkeys([*amounts[7:], Decimal("12345.67")], 1), sign=-1)

    assert above == (Decimal("0.00"), Decimal("12345.67"), Decimal("512.00"))
    assert (multiset.minimum(), multiset.maximum()) == (Decimal("0.00"), Decimal("1.50"))
    assert multiset.quantile((1, 2)) == Decimal("0.75")


def test_a_distinct_count_is_exact_above_and_below_tens_of_thousands_of_values() -> None:
    """It was the size of a sample, and stayed so."""
    distinct = Distinct()
    distinct.merge({f"u{n}": 1 for n in range(67_536)})
    above = distinct.size()

    distinct.merge({f"u{n}": 1 for n in range(62_000)}, sign=-1)

    assert (above, distinct.size()) == (67_536, 5_536)


def test_whole_numbers_among_decimals_count_at_the_same_scale() -> None:
    """`coalesce(amount, 1001)` gives an int among decimals: 1001 is 1001.00."""
    assert unscaled(1001, 2) == unscaled(Decimal("1001.00"), 2)


@pytest.mark.usefixtures("soon_large")
def test_numbers_and_texts_are_different_values_in_a_large_set_as_in_a_small_one() -> None:
    """A hash that is made of text must not make them one."""
    distinct = Distinct()
    distinct.merge(dict.fromkeys([1, "1", 2, "2", "True", "a"], 1))
    small = distinct.size()

    distinct.merge(dict.fromkeys(["b", 1, "1"], 1))

    assert (small, distinct.size()) == (6, 7)


def test_values_at_rest_are_the_same_values() -> None:
    """Packed or not: what is read, what is added, what is taken back."""
    values = {Decimal("1.50"): 2, Decimal("-3.00"): 1, 7: 4}
    multiset, distinct = Multiset(2), Distinct()
    multiset.merge(values)
    distinct.merge({"a": 1, "b": 3, 5: 2, True: 1})

    multiset.rest()
    distinct.rest()
    at_rest = multiset.counts, distinct.counts
    multiset.merge({Decimal("1.50"): 2}, sign=-1)
    distinct.merge({"b": 3}, sign=-1)

    assert at_rest == (values, {"a": 1, "b": 3, 5: 2, True: 1})
    assert (multiset.counts, multiset.size) == ({Decimal("-3.00"): 1, 7: 4}, 5)
    assert distinct.counts == {"a": 1, 5: 2, True: 1}


def test_values_too_large_to_be_packed_stay_as_they_are() -> None:
    """MessagePack ends at 64 bits; a product of two fields does not."""
    multiset = Multiset(0)
    multiset.merge({2**100: 1})

    multiset.rest()

    assert multiset.maximum() == 2**100
