"""Who asks: one value, whatever proved it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from serving.access.scopes import EVERYTHING, Scope
from serving.access.sight import WHOLE, Sight

DEFAULT_TENANT: Final = "default"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from.

    Attributes:
        bucket: Name of the caller's rate limit, and of the caller in what they decide; says nothing
            about the key.
        sight: Which contracts exist for the caller.
        expires_us: When the caller's right to ask ends by itself; None means never.
        stored: What a stored key is found by; None for others.
        realm: What answers may be shared by: equal for those who are told the same.
    """

    tenant: str
    scopes: frozenset[Scope]
    bucket: str
    sight: Sight = WHOLE
    expires_us: int | None = None
    stored: bytes | None = field(default=None, repr=False)
    realm: str = field(init=False)

    def __post_init__(self) -> None:
        """Name the realm once: the hot path looks answers up by it."""
        realm = self.tenant if self.sight.whole else f"{self.tenant}\0{self.sight.digest()}"
        object.__setattr__(self, "realm", realm)


ANYONE: Final = Caller(DEFAULT_TENANT, EVERYTHING, "anonymous")
"""Every caller of a platform without keys."""
