"""Who may pass: the API key, its scope and its rate limit, for every layer alike."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agentflow.clock import Clock
from agentflow.wording import quoted
from serving.access.callers import Caller
from serving.access.keys import Keys
from serving.access.limits import RateLimiter, Refused
from serving.access.origins import Origins
from serving.access.scopes import ROLES, Scope
from serving.access.stored_keys import StoredKeys
from serving.access.wrong_keys import WrongKeys
from serving.http.problems import Detail, Problem
from serving.http.replies import Headers, Reply, header
from serving.http.replies import Scope as AsgiScope

_MAX_REQUEST_ID: Final = 128
_ID_BYTES: Final = 10
_DRAWN_AT_ONCE: Final = 256
_REQUEST_ID_CHARACTERS: Final = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
)
_ONCE: Final = frozenset(
    {b"authorization", b"content-type", b"host", b"idempotency-key", b"x-api-key"}
)


@dataclass(frozen=True, slots=True)
class Passed:
    """The caller may go on; `headers` go into the answer."""

    caller: Caller
    headers: tuple[tuple[bytes, bytes], ...]


class RequestIds:
    """Ids for requests that bring none: random, so that callers cannot count each other's requests.

    An id that a caller sends is kept when it is short and plain, and replaced when it is not:
    it ends up in logs.

    Args:
        draw: Makes that many random bytes; called for many ids at once.
    """

    def __init__(self, draw: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._draw = draw
        self._drawn: list[str] = []

    def of(self, sent: bytes | None) -> str:
        """Return the id of a request."""
        if sent and len(sent) <= _MAX_REQUEST_ID and _REQUEST_ID_CHARACTERS.issuperset(sent):
            return sent.decode()
        if not self._drawn:
            text = self._draw(_ID_BYTES * _DRAWN_AT_ONCE).hex()
            size = 2 * _ID_BYTES
            self._drawn = [text[start : start + size] for start in range(0, len(text), size)]
        return self._drawn.pop()


class Guard:
    """Checks one request, for the edge and for the hot path alike."""

    def __init__(
        self,
        keys: Keys,
        limiter: RateLimiter | None,
        clock: Clock,
        *,
        origins: Origins | None = None,
        wrong_keys: WrongKeys | None = None,
        stored: StoredKeys | None = None,
    ) -> None:
        self.keys = keys
        self._stored = stored
        self.limiter = limiter
        self._origins = origins or Origins(any_host=False)
        self.wrong_keys = wrong_keys or WrongKeys(0)
        self._clock = clock

    @property
    def origins(self) -> Origins | None:
        """What judges where a request comes from; None where there are keys."""
        return None if self.keys.anonymous is None else self._origins

    def now_us(self) -> int:
        """Return the time requests are judged at."""
        return self._clock.now_us()

    def refusal(self, scope: AsgiScope) -> Problem | None:
        """Return why a request is refused before its key is looked at; None when it is not."""
        names = [name for name, _ in scope["headers"] if name in _ONCE]
        if len(names) != len(set(names)):
            return _repeated(max(names, key=names.count).decode())
        return None if self.origins is None else self.origins.refusal(scope)

    async def check(
        self, key: bytes | None, needed: Scope, *, request_id: str, address: str
    ) -> Passed | Reply:
        """Return who is calling, or the answer that refuses them."""
        caller = await self.identify(key, address)
        if isinstance(caller, Problem):
            return caller.reply(request_id)
        if needed not in caller.scopes:
            return missing_scope(needed).reply(request_id)
        if self.limiter is None:
            return Passed(caller, ())
        taken = await self.limiter.take(caller.bucket, self._clock.now_us())
        if isinstance(taken, Refused):
            headers = self.limiter.exhausted(taken.retry_seconds)
            return _limited(taken.retry_seconds).reply(request_id, *headers)
        return Passed(caller, (taken, self.limiter.policy_header))

    async def identify(self, key: bytes | None, address: str) -> Caller | Problem:
        """Return who is calling, or why nobody is who may; wrong keys are limited by address.

        A key that is not known here is looked up only if its address may send wrong ones still.
        """
        now_us = self._clock.now_us()
        caller: Caller | Problem | None = self.keys.caller(key, now_us)
        bucket = caller.bucket if isinstance(caller, Caller) else None
        if seconds := self.wrong_keys.retry_seconds(address, bucket, now_us):
            return _guessed(seconds)
        if caller is None:
            caller = await self._looked_up(key)
        if isinstance(caller, Caller):
            self.wrong_keys.note_right(address, caller.bucket)
        elif caller.code in _GUESSES:
            self.wrong_keys.note_wrong(address, now_us)
        return caller

    async def _looked_up(self, key: bytes | None) -> Caller | Problem:
        if not key:
            return Problem("key_missing", "the request has no API key", "Send it as X-API-Key.")
        if self._stored is None:
            return _UNKNOWN
        return await self._stored.find(key)


def key_sent(scope: AsgiScope, *, bearer: bool) -> bytes | None:
    """Return the API key of a request: as its header or, with *bearer*, as Prometheus sends it."""
    key = header(scope, b"x-api-key")
    if key is not None or not bearer:
        return key
    scheme, _, token = (header(scope, b"authorization") or b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def request_id_header(request_id: str) -> tuple[bytes, bytes]:
    """Return the header that tells a caller the id of the request."""
    return (b"x-request-id", request_id.encode())


SECURITY_HEADERS: Final[Headers] = [(b"x-content-type-options", b"nosniff")]


_GUESSES: Final = frozenset({"key_unknown", "key_malformed"})
_UNKNOWN: Final = Problem("key_unknown", "the API key is not known", "Check AGENTFLOW_API_KEYS.")


def _repeated(name: str) -> Problem:
    message = f"header {quoted(name)} is sent twice"
    where = Detail("header_invalid", message, header=name)
    return Problem("header_invalid", message, "Send it once.", (where,))


def _guessed(seconds: int) -> Problem:
    return Problem(
        "rate_limited",
        "too many wrong API keys came from this address",
        f"Wait {seconds} s, then send the right key.",
        retry_seconds=seconds,
    )


def missing_scope(needed: Scope) -> Problem:
    """Return the problem of a key that may not do something."""
    role = next(name for name, scopes in ROLES.items() if needed in scopes)
    also = "" if role == needed else f", or with {quoted(role)}, which includes it"
    return Problem(
        "scope_missing",
        f"the API key does not have the scope {quoted(needed)}",
        f"Use a key with the scope {quoted(needed)}{also}.",
    )


def _limited(retry_seconds: int) -> Problem:
    return Problem(
        "rate_limited",
        "the rate limit of this API key is used up",
        f"Wait {retry_seconds} s; the RateLimit header of every answer says what is left.",
    )
