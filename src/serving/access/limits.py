"""Rate limits: a token bucket for each key, drawn from in blocks, told in `RateLimit` headers.

A bucket may live elsewhere (Redis, when there are replicas). A round trip for each request would
cost more than a whole metric read (35 µs of CPU, measured 2026-11), so a limiter leases a block of
tokens and spends it alone; what it cannot lease it refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from serving.access.port import Lease, Quotas

SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class RateLimitPolicy:
    """How much a caller may ask: *quota* requests at once, refilled over *window_seconds*."""

    quota: int
    window_seconds: int = 60
    name: str = "default"

    @property
    def header(self) -> bytes:
        """The `RateLimit-Policy` field (draft-ietf-httpapi-ratelimit-headers)."""
        return f'"{self.name}";q={self.quota};w={self.window_seconds}'.encode()


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_us: int


class LocalQuotas:
    """Buckets in this process. Memory is one small object for each configured key."""

    def __init__(self, policy: RateLimitPolicy) -> None:
        self._policy = policy
        self._buckets: dict[str, _Bucket] = {}

    async def lease(self, bucket: str, *, want: int, now_us: int) -> Lease:
        """Take up to *want* tokens."""
        policy = self._policy
        held = self._buckets.setdefault(bucket, _Bucket(float(policy.quota), now_us))
        rate = policy.quota / policy.window_seconds / SECOND_US
        elapsed_us = max(0, now_us - held.filled_us)
        held.tokens = min(float(policy.quota), held.tokens + elapsed_us * rate)
        held.filled_us = max(now_us, held.filled_us)
        granted = min(want, int(held.tokens))
        held.tokens -= granted
        retry_us = 0 if granted else int((1 - held.tokens) / rate) + 1
        return Lease(granted, int(held.tokens), now_us + SECOND_US, retry_us)


@dataclass(slots=True)
class _Held:
    tokens: int
    remaining: int
    expires_us: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The caller has to wait."""

    retry_seconds: int


class RateLimiter:
    """Spends leased blocks. `take_held` is the quick way and never waits; then try `take`."""

    def __init__(self, policy: RateLimitPolicy, quotas: Quotas) -> None:
        self.policy = policy
        self.policy_header = (b"ratelimit-policy", policy.header)
        self._quotas = quotas
        # Half of what a second refills: a lease that expires unspent costs its caller nothing.
        self._block = max(1, min(policy.quota // 100, policy.quota // (2 * policy.window_seconds)))
        self._held: dict[str, _Held] = {}
        self._prefix = f'"{policy.name}";r='.encode()
        self._seconds_per_token = policy.window_seconds / policy.quota

    def take_held(self, bucket: str, now_us: int) -> tuple[bytes, bytes] | None:
        """Spend a token that is already leased; None when there is none."""
        held = self._held.get(bucket)
        if held is None or held.tokens < 1 or now_us >= held.expires_us:
            return None
        held.tokens -= 1
        return self._header(held.tokens + held.remaining)

    async def take(self, bucket: str, now_us: int) -> tuple[bytes, bytes] | Refused:
        """Spend a token, leasing a block when needed; return the `RateLimit` header."""
        spent = self.take_held(bucket, now_us)
        if spent is not None:
            return spent
        lease = await self._quotas.lease(bucket, want=self._block, now_us=now_us)
        if lease.granted < 1:
            return Refused(max(1, -(-lease.retry_us // SECOND_US)))
        held = self._held.get(bucket)
        kept = held.tokens if held is not None and now_us < held.expires_us else 0
        tokens = kept + lease.granted - 1
        self._held[bucket] = _Held(tokens, lease.remaining, lease.expires_us)
        return self._header(tokens + lease.remaining)

    def exhausted(self, retry_seconds: int) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers of a refusal."""
        return (
            (b"ratelimit", self._prefix + b"0;t=%d" % retry_seconds),
            self.policy_header,
            (b"retry-after", b"%d" % retry_seconds),
        )

    def _header(self, remaining: int) -> tuple[bytes, bytes]:
        full_in = int((self.policy.quota - remaining) * self._seconds_per_token) + 1
        return (b"ratelimit", b"%b%d;t=%d" % (self._prefix, remaining, full_in))
