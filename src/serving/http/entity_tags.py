"""Validators and deprecation: `ETag`, `If-None-Match`, `Deprecation`, `Sunset`."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from serving.http.replies import Headers

CACHE_CONTROL: Final = (b"cache-control", b"private, no-cache")
NO_STORE: Final = (b"cache-control", b"no-store")


def matches(condition: bytes, etag: bytes) -> bool:
    """Tell whether an `If-None-Match` names *etag*, compared weakly as RFC 9110 says.

    >>> matches(b'W/"a", "b"', b'"a"'), matches(b"*", b'"a"'), matches(b'"c"', b'"a"')
    (True, True, False)
    """
    if condition == etag:
        return True
    tags = (part.strip() for part in condition.split(b","))
    return any(tag == b"*" or tag.removeprefix(b"W/") == etag for tag in tags)


def deprecation(status: str, sunset: str | None) -> Headers:
    """Return the headers that say a contract is on its way out.

    Contracts do not say since when, so the date of `Deprecation` (RFC 9745) is the epoch.

    >>> deprecation("deprecated", "2027-06-30")[1]
    (b'sunset', b'Wed, 30 Jun 2027 00:00:00 GMT')
    """
    if status != "deprecated":
        return []
    headers: Headers = [(b"deprecation", b"@0")]
    if sunset is not None:
        day = datetime.fromisoformat(sunset).replace(tzinfo=UTC)
        headers.append((b"sunset", format_datetime(day, usegmt=True).encode()))
    return headers
