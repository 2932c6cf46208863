"""What the API answers with: a status, headers and bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias

import msgspec

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
PROBLEM: Final = (b"content-type", b"application/problem+json")


class Reply(msgspec.Struct, frozen=True, gc=False):
    """A whole answer. Header names are lower case; `content-length` is added when it is sent."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def with_headers(self, *extra: tuple[bytes, bytes]) -> Reply:
        """Return the reply with more headers behind its own."""
        return Reply(self.status, (*self.headers, *extra), self.body)


async def send_reply(send: Send, reply: Reply, *extra: tuple[bytes, bytes]) -> None:
    """Send *reply*, with the headers *extra* behind its own."""
    length = () if reply.status == HTTPStatus.NOT_MODIFIED else (_length(reply.body),)
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [*reply.headers, *length, *extra],
        }
    )
    await send({"type": "http.response.body", "body": reply.body})


def _length(body: bytes) -> tuple[bytes, bytes]:
    return (b"content-length", b"%d" % len(body))


def response_bytes(reply: Reply) -> bytes:
    """Return the whole answer as it goes into a socket."""
    line = b"HTTP/1.1 %d %b\r\n" % (reply.status, HTTPStatus(reply.status).phrase.encode())
    headers = b"".join(b"%b: %b\r\n" % each for each in reply.headers)
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (line, headers, len(reply.body), reply.body)


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the first header of that (lower case) name, or None."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return None
