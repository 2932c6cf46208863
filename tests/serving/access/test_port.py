"""The conformance suite of `Quotas`: a second implementation is one more parameter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.access.limits import SECOND_US, LocalQuotas, RateLimitPolicy
from serving.access.port import Lease, Quotas

IMPLEMENTATIONS = pytest.mark.parametrize("make", [LocalQuotas])
Make = Callable[[RateLimitPolicy], Quotas]


def lease(quotas: Quotas, bucket: str, want: int, now_us: int) -> Lease:
    return asyncio.run(quotas.lease(bucket, want=want, now_us=now_us))


@IMPLEMENTATIONS
@given(
    quota=st.integers(1, 500),
    window_seconds=st.integers(1, 300),
    steps=st.lists(st.tuples(st.integers(0, 9 * SECOND_US), st.integers(1, 90)), max_size=9),
)
def test_what_is_granted_is_the_quota_and_what_was_refilled_at_most(
    make: Make, quota: int, window_seconds: int, steps: list[tuple[int, int]]
) -> None:
    """And never more than was asked for; a refusal says when to ask again, and that holds."""
    quotas = make(RateLimitPolicy(quota, window_seconds))
    now_us = granted = 0
    for pause_us, want in steps:
        now_us += pause_us
        got = lease(quotas, "acme", want, now_us)
        granted += got.granted
        assert 0 <= got.granted <= want
        assert 0 <= got.remaining <= quota
        assert got.expires_us > now_us
        if not got.granted:
            now_us += got.retry_us
            assert got.retry_us > 0
            again = lease(quotas, "acme", 1, now_us)
            granted += again.granted
            assert again.granted == 1

    assert granted <= quota + quota * now_us / window_seconds / SECOND_US + 1


@IMPLEMENTATIONS
def test_buckets_are_independent(make: Make) -> None:
    """One caller cannot use up what is another's."""
    quotas = make(RateLimitPolicy(5, 60))

    first = lease(quotas, "acme", 9, 0)

    assert (first.granted, first.remaining) == (5, 0)
    assert lease(quotas, "acme", 1, 0).granted == 0
    assert lease(quotas, "umbrella", 9, 0).granted == 5
