"""Rate limits."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from serving.access.limits import SECOND_US, LocalQuotas, RateLimiter, RateLimitPolicy, Refused
from serving.access.port import Lease


@given(
    quota=st.integers(1, 5_000),
    window_seconds=st.integers(1, 300),
    steps=st.lists(st.tuples(st.integers(0, 3 * SECOND_US), st.integers(1, 50)), max_size=40),
)
def test_nobody_gets_more_than_the_quota_and_what_was_refilled(
    quota: int, window_seconds: int, steps: list[tuple[int, int]]
) -> None:
    """That is what a limit is, whatever the blocks it is leased in."""
    policy = RateLimitPolicy(quota, window_seconds)
    limiter = RateLimiter(policy, LocalQuotas(policy))
    now_us = passed = 0

    async def ask() -> None:
        nonlocal now_us, passed
        for pause_us, requests in steps:
            now_us += pause_us
            for _ in range(requests):
                passed += not isinstance(await limiter.take("acme", now_us), Refused)

    asyncio.run(ask())

    assert passed <= quota + quota * now_us / window_seconds / SECOND_US + 1


def test_a_caller_who_waits_as_told_gets_through() -> None:
    """`Retry-After` is a promise."""
    policy = RateLimitPolicy(7, 60)  # one comes back in 8.57 s: rounded down it is not there yet
    limiter = RateLimiter(policy, LocalQuotas(policy))

    async def ask() -> object:
        while not isinstance(refused := await limiter.take("acme", 0), Refused):
            pass
        return await limiter.take("acme", refused.retry_seconds * SECOND_US)

    assert not isinstance(asyncio.run(ask()), Refused)


def test_one_caller_does_not_use_up_what_is_anothers() -> None:
    """A limit is there so that one tenant cannot starve the next."""
    policy = RateLimitPolicy(1, 60)
    limiter = RateLimiter(policy, LocalQuotas(policy))

    async def ask() -> object:
        await limiter.take("acme", 0)
        assert isinstance(await limiter.take("acme", 0), Refused)
        return await limiter.take("umbrella", 0)

    assert not isinstance(asyncio.run(ask()), Refused)


class CountedQuotas:
    """Grants everything and counts how often it is asked."""

    def __init__(self) -> None:
        self.leases = 0

    async def lease(self, bucket: str, *, want: int, now_us: int) -> Lease:
        self.leases += 1
        return Lease(want, 10**6, now_us + SECOND_US)


def test_tokens_are_leased_in_blocks() -> None:
    """A round trip for each request would cost more than the request."""
    quotas = CountedQuotas()
    limiter = RateLimiter(RateLimitPolicy(60_000, 60), quotas)

    async def ask() -> None:
        for _ in range(1_000):
            await limiter.take("acme", 0)

    asyncio.run(ask())

    assert quotas.leases == 2
