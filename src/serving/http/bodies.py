"""Request bodies: read up to a limit and never further."""

from __future__ import annotations

import asyncio
from typing import Final

from serving.http.codings import coding_of, decoded
from serving.http.problems import Problem
from serving.http.replies import Message, Receive, Scope, header

EVENTS_LIMIT_BYTES: Final = 16 * 1024 * 1024
BODY_LIMIT_BYTES: Final = 2 * 1024 * 1024


class DisconnectedError(Exception):
    """The caller went away before its body was complete."""


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes | Problem:
    """Return the whole body, or the problem of one that is larger than *limit_bytes*.

    A body that announces its size is refused before any of it is read.

    Raises:
        DisconnectedError: The body ended early.
    """
    announced = header(scope, b"content-length")
    if announced and announced.isdigit() and int(announced[:19]) > limit_bytes:
        return _too_large(limit_bytes)
    first = await receive()
    if first["type"] == "http.request" and not first.get("more_body", False):
        body: bytes = first.get("body", b"")
        return body if len(body) <= limit_bytes else _too_large(limit_bytes)
    return await _read_on(first, receive, limit_bytes)


async def _read_on(message: Message, receive: Receive, limit_bytes: int) -> bytes | Problem:
    parts = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        parts += message.get("body", b"")
        if len(parts) > limit_bytes:
            return _too_large(limit_bytes)
        if not message.get("more_body", False):
            return bytes(parts)
        message = await receive()


async def plain_body(scope: Scope, body: bytes, limit_bytes: int) -> bytes | Problem:
    """Return what a body holds once its content coding is undone; the limit holds for that too."""
    pieces = coding_of(scope)
    if pieces is None or isinstance(pieces, Problem):
        return pieces or body
    found = await asyncio.to_thread(decoded, body, pieces, limit_bytes)
    return _too_large(limit_bytes) if found is None else found


def _too_large(limit_bytes: int) -> Problem:
    return Problem(
        "too_large",
        f"the body is larger than {limit_bytes} bytes",
        "Send it in several requests.",
    )
