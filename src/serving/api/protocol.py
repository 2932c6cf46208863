"""The server's HTTP protocol, with plain metric reads answered as soon as they are parsed.

Most of what a small answer costs under uvicorn is neither parsing nor writing: it is the scope, the
response cycle, a task and a turn of the event loop (docs/benchmarks.md). None of it is needed for
an answer that is there already. Everything else goes the server's own way, unchanged.
"""

from __future__ import annotations

from traceback import format_exc
from typing import ClassVar, Final

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.api.hot import HotPath
from serving.api.reads import METRICS

log = structlog.get_logger()

_TARGET: Final = METRICS.encode()
_NOT_PLAIN: Final = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade"})


class _HotProtocol(HttpToolsProtocol):
    """One connection. The server's default headers must be off, they are not sent from here."""

    hot: ClassVar[HotPath]

    def on_headers_complete(self) -> None:
        """Answer now, or let the server begin a response."""
        if self.url.startswith(_TARGET) and self._may_answer() and self._answer():
            return
        self._unset_keepalive_if_required()  # an answer in this same packet may have armed it
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Tell the response under way that its request has ended, if there is one."""
        if _under_way(self.cycle):
            super().on_message_complete()

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
            answer = self.hot.answer(path.decode("latin-1"), query, self.headers)
        except Exception:  # noqa: BLE001 - the parser would report a bug of ours as a bad request
            # Text, without local variables: they hold keys and personal data.
            log.error("read.failed", trace=format_exc())  # noqa: TRY400 - see above
            return False
        if answer is None:
            return False
        self.transport.write(answer)
        self.on_response_complete()
        return True


def _under_way(cycle: RequestResponseCycle | None) -> bool:
    return cycle is not None and not cycle.response_complete


def hot_protocol(hot: HotPath) -> type[HttpToolsProtocol]:
    """Return the protocol of a server that *hot* answers reads for."""

    class HotProtocol(_HotProtocol):
        pass

    HotProtocol.hot = hot
    return HotProtocol
