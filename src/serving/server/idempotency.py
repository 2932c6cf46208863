"""`Idempotency-Key`: one effect for each key, and the same answer every time it is sent again.

Within this process repetitions wait for the first one; across processes and restarts the control
store remembers. What was answered with a server error is forgotten, so that a retry does the work;
doing it again is harmless even then, because an event's identity counts once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import Final, TypeVar

from agentflow.clock import Clock
from agentflow.errors import StorageError, UnavailableError
from control_store.idempotency.port import Conflict, Done, IdempotencyStore, InProgress, New
from processing.write.sealing import Seal
from serving.http.problems import Detail, Problem
from serving.http.replies import Reply

T = TypeVar("T")
MAX_KEY_LENGTH: Final = 255
_KEPT_HEADERS: Final = frozenset({b"content-type", b"location"})
_RETRIED_FROM: Final = 500
_REFUSED_FROM: Final = 400
_NOT_KEPT: Final = frozenset({401, 403, 408, 409, 413, 429})
_WAIT_SECONDS: Final = 30.0
_THREADS: Final = 8
_REPLAYED: Final = (b"idempotency-replayed", b"true")


def key_of(sent: bytes) -> str | Problem:
    """Return the key of a header, with or without the quotes of RFC 8941.

    >>> key_of(b'"8e03978e-40d5"')
    '8e03978e-40d5'
    """
    text = sent.decode("latin-1")
    key = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if 0 < len(key) <= MAX_KEY_LENGTH and key.isascii() and key.isprintable():
        return key
    message = "the idempotency key is not 1 to 255 printable ASCII characters"
    hint = "Send a UUID, the same for every repetition of the request."
    where = Detail("header_invalid", message, header="Idempotency-Key", hint=hint)
    return Problem("header_invalid", message, hint, (where,))


def fingerprint(*parts: bytes) -> bytes:
    """Return the digest of everything that makes two requests the same."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


class Idempotency:
    """Runs work at most once for each (realm, key).

    Args:
        seal: Seals answers that hold a secret, before they are stored.
    """

    def __init__(self, store: IdempotencyStore, clock: Clock, seal: Seal) -> None:
        self._store = store
        self._seal = seal
        self._clock = clock
        self._running: dict[tuple[str, str], asyncio.Event] = {}
        # of their own: a store that does not answer must not keep others from a thread
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="idempotency")

    async def once(
        self,
        realm: str,
        key: str,
        digest: bytes,
        *,
        work: Callable[[], Awaitable[Reply]],
        request_id: str,
        secret: bool = False,
    ) -> Reply:
        """Return the reply of *work*, or the one it gave when the key was used before.

        With *secret*, it is stored sealed.
        """
        name = (realm, key)
        while name in self._running:
            await asyncio.wait_for(self._running[name].wait(), _WAIT_SECONDS)
        finished = self._running[name] = asyncio.Event()
        try:
            return await self._attempt(
                name, digest, work=work, request_id=request_id, secret=secret
            )
        finally:
            finished.set()
            del self._running[name]

    async def _attempt(
        self,
        name: tuple[str, str],
        digest: bytes,
        *,
        work: Callable[[], Awaitable[Reply]],
        request_id: str,
        secret: bool,
    ) -> Reply:
        begin = partial(self._store.begin, *name, digest, now_us=self._clock.now_us())
        match await self._in_thread(begin):
            case Done(status=status, headers=headers, body=body):
                kept = tuple((k.encode(), v.encode()) for k, v in headers.items())
                if not secret or status >= _REFUSED_FROM:
                    return Reply(status, (*kept, _REPLAYED), body)
                try:
                    opened = self._seal.read(body.decode(), about=_about(name))
                except ValueError:
                    return _SEALED.reply(request_id)
                return Reply(status, (*kept, _REPLAYED), opened)
            case Conflict():
                return _CONFLICT.reply(request_id)
            case InProgress():
                return _IN_PROGRESS.reply(request_id)
            case New():
                return await self._do(name, work, secret=secret)

    async def _do(
        self, name: tuple[str, str], work: Callable[[], Awaitable[Reply]], *, secret: bool
    ) -> Reply:
        reply: Reply | None = None
        try:
            reply = await work()
        finally:
            # Shielded by being synchronous work in a thread: a caller that goes away now must
            # not leave its key claimed for a day.
            if reply is None or reply.status >= _RETRIED_FROM or reply.status in _NOT_KEPT:
                with suppress(UnavailableError, StorageError):  # it is told why it was refused
                    await self._in_thread(partial(self._store.abandon, *name))
            else:
                kept = {k.decode(): v.decode() for k, v in reply.headers if k in _KEPT_HEADERS}
                body = reply.body
                if secret and reply.status < _REFUSED_FROM:
                    body = self._seal.write(body, about=_about(name), salted=True).encode()
                done = Done(reply.status, kept, body)
                now_us = self._clock.now_us()
                await self._in_thread(partial(self._store.finish, *name, done, now_us=now_us))
        return reply

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def _about(name: tuple[str, str]) -> bytes:
    """Return what a sealed answer belongs to: put under another key it cannot be read."""
    return "\0".join(name).encode("utf-8", "surrogatepass")


_SEALED = Problem(
    "idempotency_conflict",
    "the answer to this request cannot be told again: it was sealed with another secret",
    "Use a new idempotency key.",
)
_CONFLICT = Problem(
    "idempotency_conflict",
    "the idempotency key was used with another request",
    "Use a new key for a new request; repeat a request byte for byte.",
)
_IN_PROGRESS = Problem(
    "idempotency_in_progress",
    "the request with this idempotency key is still being worked on",
    "Repeat it in a second.",
)
