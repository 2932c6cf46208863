"""What a rate limiter needs of the place where its buckets are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Lease:
    """Tokens handed over, how many the bucket still holds, and how long a leased one is good.

    Attributes:
        granted: May be less than what was asked for, down to 0.
        retry_us: When nothing was granted, how long until something will be.
    """

    granted: int
    remaining: int
    expires_us: int
    retry_us: int = 0


class Quotas(Protocol):
    """Where buckets live. Must answer within milliseconds or grant a local share.

    Conformance: `tests/serving/access/test_port.py`.
    """

    async def lease(self, bucket: str, *, want: int, now_us: int) -> Lease:
        """Take up to *want* tokens out of *bucket*."""
        ...
