"""The layer in front of the routes: request id, key, limits, sizes, idempotency, supervision.

Plain ASGI and no middleware of a framework: it may not buffer streams, and it sees every request.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import perf_counter
from traceback import format_exc
from typing import Final

import structlog
from starlette.responses import StreamingResponse

from agentflow.errors import AgentFlowError
from serving.access.callers import Caller
from serving.access.guard import (
    SECURITY_HEADERS,
    Guard,
    RequestIds,
    key_sent,
    request_id_header,
)
from serving.api.resource import Operation
from serving.api.routes import Route, Routes
from serving.api.telemetry import Telemetry
from serving.http.bodies import (
    BODY_LIMIT_BYTES,
    DisconnectedError,
    plain_body,
    read_body,
)
from serving.http.codings import ACCEPTED
from serving.http.connections import network
from serving.http.head import Head
from serving.http.problems import Problem, problem_of
from serving.http.replies import (
    Headers,
    Message,
    Receive,
    Reply,
    Scope,
    Send,
    header,
    send_reply,
)
from serving.server.idempotency import Idempotency, fingerprint, key_of

log = structlog.get_logger()

MAX_TARGET_BYTES: Final = 16 * 1024
_RECOGNISED_SECONDS: Final = 0.5
_BODY_METHODS: Final = frozenset({"POST", "PUT", "PATCH"})
INTERNAL = Problem(
    "internal", "the server made a mistake", "Quote the request id when you report it."
)
_URI_TOO_LONG = Problem(
    "uri_too_long", f"the address is longer than {MAX_TARGET_BYTES} bytes", "Ask with POST."
)


class EdgeApp:
    """The ASGI app that admits requests and has *routes* answer them."""

    def __init__(
        self,
        routes: Routes,
        *,
        guard: Guard,
        idempotency: Idempotency,
        request_ids: RequestIds,
        telemetry: Telemetry,
    ) -> None:
        self._routes = routes
        self._guard = guard
        self._idempotency = idempotency
        self._request_ids = request_ids
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            ValueError: It is not HTTP.
        """
        if scope["type"] != "http":
            raise ValueError(f"{scope['type']} is not served")
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
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > MAX_TARGET_BYTES:
            await send_reply(sending, _URI_TOO_LONG.reply(request_id))
            return
        if (refused := self._guard.refusal(scope)) is not None:
            await send_reply(sending, refused.reply(request_id))
            return
        route = self._routes.find(scope["method"], scope["path"])
        needed, operation = route.scope(scope["method"]), route.operation
        if needed is not None:
            checked = await self._guard.check(
                key_sent(scope, bearer=operation is not None and operation.bearer),
                needed,
                request_id=request_id,
                address=network((scope.get("client") or ("",))[0]),
            )
            if isinstance(checked, Reply):
                await send_reply(sending, checked)
                return
            scope["caller"] = checked.caller
            sending.headers += checked.headers
        elif operation is not None and operation.tells_more:
            await self._recognise(scope)
        scope["operation"] = operation
        body = await _body(scope, receive, operation)
        if isinstance(body, Problem):
            accepted = (ACCEPTED,) if body.code == "content_coding_unsupported" else ()
            await send_reply(sending, body.reply(request_id, *accepted))
            return
        answer = await self._answer(route, scope, receive, body)
        if isinstance(answer, Reply):
            await send_reply(sending, answer)
        else:
            await answer(scope, receive, sending)

    async def _recognise(self, scope: Scope) -> None:
        """Find out who asks for what is told to everyone, and told more fully to some.

        Nothing is refused here, and nothing waits for a store that does not answer.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_RECOGNISED_SECONDS):
                address = network((scope.get("client") or ("",))[0])
                caller = await self._guard.identify(key_sent(scope, bearer=False), address)
                if isinstance(caller, Caller):
                    scope["caller"] = caller

    async def _answer(
        self, route: Route, scope: Scope, receive: Receive, body: bytes
    ) -> Reply | StreamingResponse:
        sent_key = header(scope, b"idempotency-key")
        if scope["method"] not in _BODY_METHODS or sent_key is None or "caller" not in scope:
            return await self._routes.answer(route, scope, receive, body)
        key = key_of(sent_key)
        if isinstance(key, Problem):
            return key.reply(scope["request_id"])

        async def work() -> Reply:
            answer = await self._routes.answer(route, scope, receive, body)
            assert isinstance(answer, Reply)  # noqa: S101 - only what answers a GET is a stream
            return answer

        return await self._idempotency.once(
            scope["caller"].realm,  # who is told less is not given the answer of who was told more
            key,
            request_fingerprint(scope, body),
            work=work,
            request_id=scope["request_id"],
            secret=route.operation is not None and route.operation.secret,
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


async def _body(scope: Scope, receive: Receive, operation: Operation | None) -> bytes | Problem:
    """Return the body of a request, decoded; nothing is read of one that should have none."""
    if scope["method"] not in _BODY_METHODS:
        return b""
    limit = BODY_LIMIT_BYTES if operation is None else operation.body_limit_bytes
    body = await read_body(scope, receive, limit)
    return body if isinstance(body, Problem) else await plain_body(scope, body, limit)


def _route(scope: Scope) -> str:
    operation: Operation | None = scope.get("operation")
    return "unmatched" if operation is None else operation.path


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in {"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"} else "other"
