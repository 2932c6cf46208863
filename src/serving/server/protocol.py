"""The server's HTTP protocol: bounded in bytes and time; plain reads are answered once parsed.

Most of what a small answer costs under uvicorn is neither parsing nor writing: it is the scope, the
response cycle, a task and a turn of the event loop (docs/benchmarks.md). None of it is needed for
an answer that is there already. Everything else goes the server's own way.

What a peer sends is parsed in slices, a few requests in each turn of the event loop: neither a
header without an end nor a thousand requests in one packet keep others waiting.
"""

from __future__ import annotations

import asyncio
from functools import partial
from traceback import format_exc
from typing import ClassVar, Final

import httptools
import structlog
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.access.origins import addressed
from serving.http.connections import Connections, network
from serving.http.problems import Problem
from serving.server.hot import HotPath
from serving.server.reads import METRICS

log = structlog.get_logger()

_TARGET: Final = METRICS.encode()
_NOT_PLAIN: Final = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade"})
_SLICE_BYTES: Final = 4_096
_REQUESTS_A_TURN: Final = 16
_FRAMING: Final = 8
"""Bytes on the wire for one byte of a body: each may come as a chunk of its own."""
_UNREAD_BYTES: Final = 32 * 1024 * 1024
"""How much of a body is swallowed after its answer, so that the sender gets to read the answer."""
_AFTER_REFUSAL_BYTES: Final = 1024 * 1024
_LINGER_SECONDS: Final = 2.0


_IDLE: Final = 0
_HEAD: Final = 1
_BODY: Final = 2
_REFUSED: Final = 3


class HotProtocol(HttpToolsProtocol):
    """One connection. The server's default headers must be off, they are not sent from here."""

    hot: ClassVar[HotPath]
    open: ClassVar[Connections]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection if there is room for it."""
        self._phase = _IDLE
        self._arriving = self._wire_bytes = self._body_bytes = self._begun = 0
        self._unread = bytearray()
        self._reading_on = False
        self._running: RequestResponseCycle | None = None
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        self._source = network(address)
        room = self.open.admit(self, address)
        self._since = self._stalled_since = self.open.now
        self._stalled_bytes = 0
        if not room:
            self._refuse(_NO_ROOM)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another one."""
        self.open.release(self)
        self._unread.clear()
        self._leave()
        super().connection_lost(exc)

    # What arrives

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, or as much of it as this turn of the event loop may take."""
        if self._phase == _REFUSED:
            self._swallow(len(data))
        elif len(data) <= _SLICE_BYTES and not self._unread:
            self._feed(data)
        else:
            self._unread += data
            if not self._reading_on:
                self._read_on()

    def _read_on(self) -> None:
        """Parse slices until enough requests have begun; the rest waits for the next turn."""
        self._reading_on = False
        enough, position, unread = self._begun + _REQUESTS_A_TURN, 0, bytes(self._unread)
        self._unread.clear()
        while position < len(unread) and self._begun < enough and not self.pipeline:
            if self._phase == _REFUSED or self.transport.is_closing():
                return
            self._feed(unread[position : position + _SLICE_BYTES])
            position += _SLICE_BYTES
        self._unread += unread[position:]
        if self._unread:
            self.flow.pause_reading()
            if not self.pipeline:
                self._read_on_soon()
        elif not _under_way(self.cycle):
            self.flow.resume_reading()

    def _read_on_soon(self) -> None:
        if not self._reading_on:
            self._reading_on = True
            self.loop.call_soon(self._read_on)

    def _feed(self, data: bytes) -> None:
        self._arriving = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # it is answered as if it had asked for nothing
        except httptools.HttpParserError as error:
            if self._phase != _REFUSED:
                self._refuse(_not_http(str(error)))
            return
        if self._phase == _IDLE:
            return
        self._wire_bytes += len(data)
        if self._phase == _HEAD:
            if self._wire_bytes > self.open.limits.header_bytes + _SLICE_BYTES:
                self._refuse(_header_too_large(self.open.limits.header_bytes))
        elif self._phase == _BODY:
            self._check_body()

    def _check_body(self) -> None:
        """Refuse framing and trailers without an end, and bodies that no operation reads."""
        framing = self.open.limits.header_bytes + _FRAMING * self._body_bytes
        if self._wire_bytes > framing:
            self._refuse(_header_too_large(self.open.limits.header_bytes))
        elif not _under_way(self.cycle) and self._wire_bytes > _UNREAD_BYTES:
            self.abort()

    # What the parser says

    def on_message_begin(self) -> None:
        """Begin a request; what only the server's own way needs is made when it is taken."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        if self._phase == _REFUSED:
            return
        self._phase = _HEAD
        self._wire_bytes = 0
        self._begun += 1
        self._since = self.open.now

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is none, whatever it calls itself."""
        if self._phase == _HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Answer now, or let the server begin a response."""
        if self._phase == _REFUSED:
            return
        if self._wire_bytes + self._arriving > self.open.limits.header_bytes and self._too_large():
            self._refuse(_header_too_large(self.open.limits.header_bytes))
            return
        if not self.url.startswith((b"/", b"*")):
            self.headers = addressed(self.url, self.headers)
        self._phase = _BODY
        if self.url.startswith(_TARGET) and self._may_answer() and self._answer():
            return
        self._wire_bytes = -self._arriving  # of this slice, the body's part is not known
        self._body_bytes = 0
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the scope has this list
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if self._phase != _REFUSED:
            self._body_bytes += len(body)
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Tell the response under way that its request has ended, if there is one."""
        if self._phase == _REFUSED:
            return
        self._phase = _IDLE
        if _under_way(self.cycle):
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, partial(self._until_cut, cycle, app))

    async def _until_cut(
        self,
        cycle: RequestResponseCycle,
        app: ASGI3Application,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        """Run a request; one that the server cuts when it ends has no answer and no trace."""
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            cycle.disconnected = True
            self.abort()

    def on_response_complete(self) -> None:
        """Start the next request that waits, or listen for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._since = self.open.now
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._unread:
            self._read_on_soon()
        else:
            self.flow.resume_reading()

    def _too_large(self) -> bool:
        held = sum(len(name) + len(value) for name, value in self.headers)
        return held + len(self.url) > self.open.limits.header_bytes

    def _may_answer(self) -> bool:
        """Tell whether this is a lone GET that keeps the connection, with nothing before it."""
        parser = self.parser
        return (
            parser.get_method() == b"GET"
            and not _under_way(self.cycle)
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not self.flow.write_paused
            and not self.transport.is_closing()
            and _NOT_PLAIN.isdisjoint([name for name, _ in self.headers])
        )

    def _answer(self) -> bool:
        """Write the answer, if there is one at once."""
        path, _, query = self.url.partition(b"?")
        if b"%" in path or b"#" in self.url:
            return False
        try:
            answer = self.hot.answer(path.decode("latin-1"), query, self.headers, self._source)
        except Exception:  # noqa: BLE001 - the parser would report a bug of ours as a bad request
            # Text, without local variables: they hold keys and personal data.
            log.error("read.failed", trace=format_exc())  # noqa: TRY400 - see above
            return False
        if answer is None:
            return False
        self.transport.write(answer)
        self.server_state.total_requests += 1
        return True

    # Time and refusal

    @property
    def idle_since(self) -> float | None:
        """Since when the connection has no request; None while it has one."""
        return None if self._phase != _IDLE or _under_way(self.cycle) else self._since

    def check(self, now: float) -> None:
        """End the connection if its peer has used up its time."""
        limits, waited = self.open.limits, now - self._since
        if self._stalled(now):
            self.abort()
        elif self._phase == _REFUSED:
            if waited > _LINGER_SECONDS:
                self.abort()
        elif self.flow.read_paused:
            self._since, self._wire_bytes, self._body_bytes = now, 0, 0  # the peer waits for us
        elif self._phase == _HEAD:
            if waited > limits.header_seconds:
                self._refuse(_too_slow("the headers", limits.header_seconds))
        elif self._phase == _BODY:
            self._check_pace(waited)
        elif not _under_way(self.cycle) and waited > limits.idle_seconds:
            self.close()

    def _check_pace(self, waited: float) -> None:
        """End a body that comes too slowly, or that was answered before it came."""
        limits = self.open.limits
        if not _under_way(self.cycle):
            if waited > limits.header_seconds:
                self.abort()
        elif waited > limits.body_seconds + self._body_bytes / limits.body_bytes_per_second:
            self._refuse(_too_slow("the body", limits.body_seconds))

    def _stalled(self, now: float) -> bool:
        """Tell whether the peer has taken nothing for too long of what waits for it."""
        waiting = self.transport.get_write_buffer_size()
        if waiting == 0 or waiting != self._stalled_bytes:
            self._stalled_bytes, self._stalled_since = waiting, now
        return now - self._stalled_since > self.open.limits.stall_seconds

    def _refuse(self, problem: Problem) -> None:
        """Say why nothing more is read, and listen only so long that the peer can read that."""
        running = self._running if _under_way(self._running) else None
        silent = bool(self.pipeline) or (running is not None and running.response_started)
        self._leave()
        self._unread.clear()
        self._phase, self._since, self._wire_bytes = _REFUSED, self.open.now, 0
        if silent:
            self.abort()
            return
        self.transport.write(self.hot.refusal(problem))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    def _leave(self) -> None:
        """Tell the response under way, if there is one, that its caller is gone."""
        self.pipeline.clear()
        if self._running is not None and _under_way(self._running):
            self._running.disconnected = True
            self._running.message_event.set()

    def _swallow(self, count: int) -> None:
        self._wire_bytes += count
        if self._wire_bytes > _AFTER_REFUSAL_BYTES:
            self.abort()

    def close(self) -> None:
        """End the connection, which has no request."""
        self.transport.close()

    def abort(self) -> None:
        """End the connection at once."""
        self.transport.abort()


def _under_way(cycle: RequestResponseCycle | None) -> bool:
    return cycle is not None and not cycle.response_complete


_NO_ROOM: Final = Problem(
    "too_many_connections",
    "there are too many open connections",
    "Keep connections open and use them again, or wait until others have ended.",
)

_FAULTS: Final = {
    "Invalid character in Content-Length": "the Content-Length is not a number",
    "Duplicate Content-Length": "it has two Content-Lengths",
    "Transfer-Encoding can't be present with Content-Length": (
        "it has both a Content-Length and a Transfer-Encoding"
    ),
    "Invalid header value char": "the value of a header has a character that none may have",
    "Invalid header token": "the name of a header has a character that none may have",
    "Invalid character in chunk size": "the size of a chunk is not a hexadecimal number",
    "Invalid method encountered": "it does not begin with a method of HTTP",
    "Invalid HTTP version": "it names a version of HTTP that does not exist",
}
"""What the parser of uvicorn says, in our words; anything else is only said not to be HTTP."""


def _not_http(said: str) -> Problem:
    fault = _FAULTS.get(said)
    detail = "the request is not valid HTTP/1.1" + (f": {fault}" if fault else "")
    return Problem("request_invalid", detail, "Look at what the client sends.")


def _header_too_large(limit_bytes: int) -> Problem:
    return Problem(
        "headers_too_large",
        f"the headers are larger than {limit_bytes} bytes",
        "Send fewer or shorter headers.",
    )


def _too_slow(what: str, seconds: float) -> Problem:
    return Problem(
        "request_timeout",
        f"{what} did not arrive within {seconds:g} s",
        "Send the request without pauses.",
    )


def hot_protocol(hot: HotPath, connections: Connections | None = None) -> type[HttpToolsProtocol]:
    """Return the protocol of a server that *hot* answers reads for.

    Args:
        hot: What answers at once, and words refusals.
        connections: The open ones, with their limits; those of this server alone.
    """

    class Protocol(HotProtocol):
        pass

    Protocol.hot = hot
    Protocol.open = Connections() if connections is None else connections
    return Protocol
