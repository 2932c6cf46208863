"""Who may ask a server that has no keys: this machine, and no web page of another origin.

A browser sends requests to loopback for any page it shows. The page's own name then stands in
`Host` (when it rebound that name to 127.0.0.1), or in `Origin` (when it wrote to another address).
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from serving.http.problems import Problem
from serving.http.replies import Headers, Scope, header

_MOST_KNOWN: Final = 64
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Origins:
    """Judges `Host` and `Origin`. One event loop.

    Args:
        any_host: Whether names other than those of loopback are answered too.
    """

    def __init__(self, *, any_host: bool) -> None:
        self._any_host = any_host
        self._known: set[bytes | None] = set()

    def knows(self, host: bytes | None) -> bool:
        """Tell whether requests to *host* are answered."""
        if self._any_host or host in self._known:
            return True
        if host is None or not loopback(host_name(host.decode("latin-1"))):
            return False
        if len(self._known) < _MOST_KNOWN:
            self._known.add(host)
        return True

    def refusal(self, scope: Scope) -> Problem | None:
        """Return why a request is not answered, or None when it is."""
        host = header(scope, b"host")
        if not self.knows(host):
            return _HOST
        origin = header(scope, b"origin")
        if origin is None or scope["method"] in _SAFE:
            return None
        authority = origin.decode("latin-1").partition("://")[2]
        return None if host is not None and authority == host.decode("latin-1") else _ORIGIN


def addressed(target: bytes, headers: Headers) -> Headers:
    """Return headers in which `Host` is what a target in absolute form names (RFC 9112, 3.2.2).

    >>> addressed(b"http://other.test:80/v1?a=http://b", [(b"host", b"localhost")])
    [(b'host', b'other.test:80')]
    """
    authority = re.split(rb"[/?#]", target.partition(b"://")[2] or target, maxsplit=1)[0]
    sent = [name for name, _ in headers]
    given = headers if b"host" in sent else [*headers, (b"host", b"")]
    return [(name, authority if name == b"host" else value) for name, value in given]


def host_name(authority: str) -> str:
    """Return the name or address in `Host`, without its port.

    >>> host_name("localhost:8000"), host_name("[::1]:8000"), host_name("nonsense:[")
    ('localhost', '::1', '')
    """
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def loopback(name: str) -> bool:
    """Tell whether a name or an address is always this machine.

    >>> [loopback(name) for name in ("localhost", "127.1.2.3", "::1", "localhost.evil.test", "::")]
    [True, True, True, False, False]
    """
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


_HOST: Final = Problem(
    "host_refused",
    "without API keys only requests to this machine by its own name are answered",
    "Ask http://127.0.0.1 or http://localhost, or set AGENTFLOW_API_KEYS.",
)
_ORIGIN: Final = Problem(
    "origin_refused",
    "without API keys a web page of another origin may not write",
    "Send it without a browser, or set AGENTFLOW_API_KEYS.",
)
