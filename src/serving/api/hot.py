"""The hot path: metric reads answered from prepared bytes, ahead of the framework.

A question is found by tenant, path and raw query string. Whatever is not plain (a problem, the
past, a token to wait for, an unknown key) goes on to the framework, which answers it more slowly.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Final

from agentflow.errors import AgentFlowError
from serving.api.entity_tags import CACHE_CONTROL, VARY, deprecation, matches
from serving.api.guard import SECURITY_HEADERS, Guard, RequestIds, request_id_header
from serving.api.keys import Scope as KeyScope
from serving.api.limits import Refused
from serving.api.replies import JSON, AsgiApp, Headers, Receive, Scope, Send
from serving.api.telemetry import Telemetry
from serving.asked import Asked
from serving.prepared import MAX_KEPT, Prepared, PreparedAnswers
from serving.question import parse_question

_METRICS: Final = "/v1/metrics/"
_ROUTE: Final = "/v1/metrics/{name}"
_READ: Final = KeyScope.READ


class _Known:
    """A question that was asked before, with the headers of its present answer."""

    __slots__ = ("_always", "_etag", "full", "prepared", "unchanged")

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        contract = prepared.asked.plan.contract
        self._always: Headers = [
            CACHE_CONTROL,
            VARY,
            *SECURITY_HEADERS,
            *deprecation(contract.status, contract.sunset),
        ]
        self._etag = b""
        self.stamp()

    def stamp(self) -> None:
        """Prepare the headers again if the answer has another tag now."""
        etag = self.prepared.etag
        if etag != self._etag:
            self._etag = etag
            self.unchanged: Headers = [(b"etag", etag), *self._always]
            self.full: Headers = [JSON, *self.unchanged]


class HotPath:
    """An ASGI app in front of the one that knows every route. One event loop."""

    def __init__(
        self,
        app: AsgiApp,
        *,
        answers: PreparedAnswers,
        ask: Callable[..., Asked],
        guard: Guard,
        request_ids: RequestIds,
        telemetry: Telemetry,
    ) -> None:
        self._app = app
        self._answers = answers
        self._ask = ask
        self._guard = guard
        self._request_ids = request_ids
        self._telemetry = telemetry
        self._known: dict[tuple[str, str, bytes], _Known] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, here or behind."""
        if (
            scope["type"] == "http"
            and scope["method"] == "GET"
            and scope["path"].startswith(_METRICS)
            and await self._read(scope, send)
        ):
            return
        await self._app(scope, receive, send)

    async def _read(self, scope: Scope, send: Send) -> bool:
        """Answer a metric read if it is plain; tell whether it was."""
        started = perf_counter()
        key = condition = sent_id = None
        for name, value in scope["headers"]:
            if name == b"x-api-key":
                key = value
            elif name == b"if-none-match":
                condition = value
            elif name == b"x-request-id":
                sent_id = value
        guard = self._guard
        caller = guard.keys.caller(key)
        if caller is None or _READ not in caller.scopes:
            return False
        now_us = guard.now_us()
        known = self._current(caller.tenant, scope["path"], scope["query_string"], now_us)
        if known is None:
            return False
        extra: Headers = [request_id_header(self._request_ids.of(sent_id))]
        if guard.limiter is not None:
            spent = guard.limiter.take_held(caller.bucket, now_us)
            if spent is None:
                leased = await guard.limiter.take(caller.bucket, now_us)
                if isinstance(leased, Refused):
                    return False
                spent = leased
            extra += (spent, guard.limiter.policy_header)
        status = await _send(send, known, condition, now_us, extra)
        self._telemetry.observe("GET", _ROUTE, status, perf_counter() - started)
        return True

    def _current(self, tenant: str, path: str, query: bytes, now_us: int) -> _Known | None:
        """Return the question with a current answer; None when it is not a plain one."""
        if not self._answers.ready:
            return None
        name = (tenant, path, query)
        known = self._known.get(name)
        if known is None or known.prepared.outdated:
            return self._learn(name)
        if not known.prepared.current(now_us):
            known.prepared.refresh(now_us)
        known.stamp()
        return known

    def _learn(self, name: tuple[str, str, bytes]) -> _Known | None:
        tenant, path, query = name
        self._known.pop(name, None)
        try:
            question = parse_question(path[len(_METRICS) :], query)
            if not question.live:
                return None
            asked = self._ask(
                question.name,
                version=question.version,
                window=question.window,
                where=question.where,
                by=question.by,
            )
            prepared = self._answers.get(asked, tenant)
        except AgentFlowError:
            return None
        if len(self._known) >= MAX_KEPT:
            self._known.clear()
        known = self._known[name] = _Known(prepared)
        return known


async def _send(
    send: Send, known: _Known, condition: bytes | None, now_us: int, extra: Headers
) -> int:
    if condition is not None and matches(condition, known.prepared.etag):
        headers = known.unchanged + extra
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return 304
    body = known.prepared.answer.render(now_us)
    extra.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": 200, "headers": known.full + extra})
    await send({"type": "http.response.body", "body": body})
    return 200
