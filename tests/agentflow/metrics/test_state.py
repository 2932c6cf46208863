"""Multisets and distinct sets: exact while small, within their stated bound when large."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.metrics.arithmetic import EXACT
from agentflow.metrics.sql import MACROS
from agentflow.metrics.state import (
    DISTINCT_LIMIT,
    MULTISET_ERROR_BOUND,
    MULTISET_LIMIT,
    Distinct,
    Multiset,
    coarse,
    hash_bits,
)

QUANTILES = [(1, 100), (1, 4), (1, 2), (19, 20), (99, 100)]


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(MACROS)
    return connection


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
    assert distinct.estimate() == len(set(kept))


def test_both_are_exact_up_to_their_limit_and_not_above() -> None:
    """The limits are promises: an exact answer says so."""
    multiset, distinct = Multiset(0), Distinct()

    multiset.merge(dict.fromkeys(range(MULTISET_LIMIT), 1))
    distinct.merge(dict.fromkeys(range(DISTINCT_LIMIT), 1))
    at_limit = (multiset.coarse, distinct.level)
    multiset.merge({MULTISET_LIMIT: 1})
    distinct.merge({DISTINCT_LIMIT: 1})

    assert at_limit == (False, 0)
    assert (multiset.coarse, distinct.level) == (True, 1)


@settings(max_examples=200, deadline=None)
@given(
    unscaled=st.integers(-(10**27), 10**27) | st.integers(-(10**6), 10**6),
    scale=st.sampled_from([0, 2, 9]),
)
def test_a_coarse_value_is_within_the_bound_and_the_same_in_sql(
    database: duckdb.DuckDBPyConnection, unscaled: int, scale: int
) -> None:
    """The recompute of an approximated answer rounds as the live state did, digit for digit."""
    value = EXACT.scaleb(Decimal(unscaled), -scale)

    rounded = coarse(value, scale)

    assert abs(rounded - value) <= abs(value) * Decimal(MULTISET_ERROR_BOUND)
    assert abs(rounded) <= abs(value)
    text = "SELECT agentflow_coarse(CAST($value AS HUGEINT))"
    found = database.execute(text, {"value": str(unscaled)}).fetchall()[0][0]
    assert EXACT.scaleb(Decimal(found), -scale) == rounded
    assert coarse(rounded, scale) == rounded


def test_whole_numbers_among_decimals_are_rounded_at_the_same_scale() -> None:
    """`coalesce(amount, 1001)` gives an int among decimals: 1001 is 1001.00."""
    assert coarse(1001, 2) == coarse(Decimal("1001.00"), 2)


@pytest.mark.parametrize("seed", range(3))
def test_large_quantiles_stay_within_the_bound(seed: int) -> None:
    """Against the exact answer over the same values; some were taken back again."""
    random = Random(seed)
    values = [int(random.lognormvariate(8, 3)) for _ in range(30_000)]
    gone = values[:5_000]
    multiset = Multiset(0)
    for value in values:
        multiset.merge({value: 1})
    multiset.merge({value: gone.count(value) for value in set(gone)}, sign=-1)

    assert multiset.coarse
    for q in QUANTILES:
        exact = nearest_rank(values[5_000:], q)
        found = multiset.quantile(q)
        assert found is not None
        assert abs(found - exact) <= exact * MULTISET_ERROR_BOUND


@pytest.mark.parametrize("size", [70_000, 200_000])
def test_a_large_distinct_count_stays_within_the_bound_it_states(size: int) -> None:
    """And is what SQL counts at the same level; half of it is taken back again."""
    distinct = Distinct()
    distinct.merge({f"u{n}": 1 for n in range(size)})
    assert distinct.level > 0

    estimate, bound = distinct.estimate(), distinct.error_bound()
    sampled = sum(hash_bits(f"u{n}") % (1 << distinct.level) == 0 for n in range(size))
    distinct.merge({f"u{n}": 1 for n in range(size // 2)}, sign=-1)

    assert abs(estimate - size) <= size * bound
    assert estimate == sampled << distinct.level
    assert abs(distinct.estimate() - size // 2) <= size // 2 * distinct.error_bound()


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_sql_samples_the_same_values(database: duckdb.DuckDBPyConnection, text: str) -> None:
    """One hash in all engines, or a sampled count could not be recomputed."""
    found = database.execute("SELECT agentflow_hash($text)", {"text": text}).fetchall()[0][0]

    assert found == hash_bits(text)


@given(
    parts=st.lists(st.tuples(st.sets(st.integers(0, 400)), st.integers(0, 3)), max_size=4),
    seed=st.integers(),
)
def test_samples_of_any_level_merge_in_any_order(
    parts: list[tuple[set[int], int]], seed: int
) -> None:
    """Buckets are sampled each by itself; the coarsest decides."""
    samples = []
    for values, level in parts:
        sample = Distinct()
        sample.merge(dict.fromkeys(values, 1))
        sample.merge({}, level=level)
        samples.append(sample)
    shuffled = samples.copy()
    Random(seed).shuffle(shuffled)

    one, other = Distinct(), Distinct()
    for into, order in ((one, samples), (other, shuffled)):
        for sample in order:
            into.merge(sample.counts, level=sample.level)

    assert one == other
    mask = (1 << max((level for _, level in parts), default=0)) - 1
    everything = set().union(*(values for values, _ in parts))
    assert set(one.counts) == {value for value in everything if not hash_bits(value) & mask}


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
