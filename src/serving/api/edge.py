"""The layer in front of the framework: request id, key, limits, sizes, idempotency, supervision.

Plain ASGI and no framework middleware: it may not buffer streams, and it sees every request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from traceback import format_exc
from typing import Final, TypeAlias

import structlog

from agentflow.errors import AgentFlowError
from serving.api.bodies import (
    BODY_LIMIT_BYTES,
    EVENTS_LIMIT_BYTES,
    DisconnectedError,
    plain_body,
    read_body,
    replayed,
)
from serving.api.codings import ACCEPTED
from serving.api.connections import network
from serving.api.guard import (
    SECURITY_HEADERS,
    Guard,
    RequestIds,
    exempt,
    key_sent,
    needed_scope,
    request_id_header,
)
from serving.api.head import Head
from serving.api.idempotency import Idempotency, fingerprint, key_of
from serving.api.problems import Problem, problem_of
from serving.api.replies import (
    AsgiApp,
    Headers,
    Message,
    Receive,
    Reply,
    Scope,
    Send,
    header,
    send_reply,
)
from serving.api.telemetry import Telemetry

log = structlog.get_logger()

MAX_TARGET_BYTES: Final = 16 * 1024
Direct: TypeAlias = Callable[[Scope, bytes], Awaitable[Reply]]
"""Answers a request that passed, given its body. The scope holds `caller` and `request_id`."""
Work: TypeAlias = Callable[[], Awaitable[Reply]]
_BODY_METHODS: Final = frozenset({"POST", "PUT", "PATCH"})
INTERNAL = Problem(
    "internal", "the server made a mistake", "Quote the request id when you report it."
)
_URI_TOO_LONG = Problem(
    "uri_too_long", f"the address is longer than {MAX_TARGET_BYTES} bytes", "Ask with POST."
)


class Edge:
    """An ASGI app around another one.

    Requests named in *direct* (`"POST /v1/events"`) are answered without the framework, which
    would cost more than all the rest of a small request.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        direct: Mapping[str, Direct],
        guard: Guard,
        idempotency: Idempotency,
        request_ids: RequestIds,
        telemetry: Telemetry,
    ) -> None:
        self._app = app
        self._direct = direct
        self._guard = guard
        self._idempotency = idempotency
        self._request_ids = request_ids
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            head = Head(send)
            await self({**scope, "method": "GET"}, head.receive, head.send)
            return
        request_id = self._request_ids.of(header(scope, b"x-request-id"))
        scope["request_id"] = request_id
        sending = _Sending(send, [request_id_header(request_id), *SECURITY_HEADERS])
        started = perf_counter()
        try:
            await self._admit(scope, receive, sending)
        except DisconnectedError:
            return
        except AgentFlowError as error:
            await self._fail(problem_of(error), sending, request_id)
        except Exception:  # noqa: BLE001 - the supervision of every request
            # Text, without local variables: they hold keys and personal data.
            trace = format_exc()
            log.error(  # noqa: TRY400 - see above
                "request.failed", request_id=request_id, path=scope["path"], trace=trace
            )
            await self._fail(INTERNAL, sending, request_id)
        finally:
            seconds = perf_counter() - started
            self._telemetry.observe(_method(scope), _route(scope), sending.status, seconds)

    async def _fail(self, problem: Problem, sending: _Sending, request_id: str) -> None:
        if not sending.status:
            await send_reply(sending, problem.reply(request_id))

    async def _admit(self, scope: Scope, receive: Receive, sending: _Sending) -> None:
        request_id: str = scope["request_id"]
        path: str = scope["path"]
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > MAX_TARGET_BYTES:
            await send_reply(sending, _URI_TOO_LONG.reply(request_id))
            return
        if (refused := self._guard.refusal(scope)) is not None:
            await send_reply(sending, refused.reply(request_id))
            return
        if not exempt(path):
            checked = await self._guard.check(
                key_sent(scope),
                needed_scope(scope["method"], path),
                request_id=request_id,
                address=network((scope.get("client") or ("",))[0]),
            )
            if isinstance(checked, Reply):
                await send_reply(sending, checked)
                return
            scope["caller"] = checked.caller
            sending.headers += checked.headers
        if scope["method"] in _BODY_METHODS:
            await self._with_body(scope, receive, sending)
        else:
            await self._app(scope, receive, sending)

    async def _with_body(self, scope: Scope, receive: Receive, sending: _Sending) -> None:
        limit = EVENTS_LIMIT_BYTES if scope["path"] == "/v1/events" else BODY_LIMIT_BYTES
        body = await read_body(scope, receive, limit)
        if isinstance(body, bytes):
            body = await plain_body(scope, body, limit)
        if isinstance(body, Problem):
            accepted = (ACCEPTED,) if body.code == "content_coding_unsupported" else ()
            await send_reply(sending, body.reply(scope["request_id"], *accepted))
            return
        direct = self._direct.get(f"{scope['method']} {scope['path']}")
        if direct is not None:
            scope["direct"] = True
        sent_key = header(scope, b"idempotency-key")
        if sent_key is not None and "caller" in scope:

            async def work() -> Reply:
                if direct is not None:
                    return await direct(scope, body)
                return await captured(self._app, scope, replayed(body, receive))

            await send_reply(sending, await self._once(scope, body, sent_key, work))
        elif direct is not None:
            await send_reply(sending, await direct(scope, body))
        else:
            await self._app(scope, replayed(body, receive), sending)

    async def _once(self, scope: Scope, body: bytes, sent_key: bytes, work: Work) -> Reply:
        request_id: str = scope["request_id"]
        key = key_of(sent_key)
        if isinstance(key, Problem):
            return key.reply(request_id)
        return await self._idempotency.once(
            scope["caller"].tenant,
            key,
            request_fingerprint(scope, body),
            work=work,
            request_id=request_id,
        )


class _Sending:
    """A `send` that adds headers to the answer and remembers its status."""

    def __init__(self, send: Send, headers: Headers) -> None:
        self._send = send
        self.headers = headers
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self.headers]
        await self._send(message)


def request_fingerprint(scope: Scope, body: bytes) -> bytes:
    """Return what tells one request from another under the same idempotency key."""
    content_type = header(scope, b"content-type") or b""
    attributes = b"\n".join(
        b"%b:%b" % (name, value)
        for name, value in sorted(scope["headers"])
        if name.startswith(b"ce-")
    )
    target = scope["method"].encode() + b" " + scope["path"].encode("utf-8", "surrogateescape")
    return fingerprint(target, scope["query_string"], content_type, attributes, body)


async def captured(app: AsgiApp, scope: Scope, receive: Receive) -> Reply:
    """Run *app* and return its whole answer."""
    status = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()
    parts: list[bytes] = []

    async def collect(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = tuple(
                (bytes(k), bytes(v)) for k, v in message["headers"] if k != b"content-length"
            )
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, collect)
    return Reply(status, headers, b"".join(parts))


def _route(scope: Scope) -> str:
    if "direct" in scope:
        return str(scope["path"])
    return getattr(scope.get("route"), "path", None) or "unmatched"


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in {"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"} else "other"
