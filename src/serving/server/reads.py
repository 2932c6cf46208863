"""Plain metric reads: questions that were asked before, with answers that are ready to be sent.

A question is found by realm (those who are told the same), path and raw query string (without the
token it may carry, when that is covered already). What is not plain (a problem, the past, a token
to wait for) is never found.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final, TypeAlias

from agentflow.errors import AgentFlowError
from serving.access.callers import Caller
from serving.access.guard import SECURITY_HEADERS
from serving.http.entity_tags import CACHE_CONTROL, deprecation, matches
from serving.http.replies import JSON, Headers
from serving.read.group_pages import GroupCursors
from serving.read.metric_query import MetricQuery
from serving.read.prepared import MAX_KEPT, PreparedAnswer, PreparedAnswers
from serving.read.query_string import parse_metric_parameters

METRICS: Final = "/v1/metrics/"
_Name: TypeAlias = tuple[str, str, bytes]
_TOKEN: Final = b"at_least="


class PlainRead:
    """A question that was asked before, with the headers of its present answer.

    `reply` is for an ASGI server, `response_bytes` is a whole answer as it goes into the socket:
    both say the same, because the bytes are made from the headers, once for each entity tag.
    """

    __slots__ = ("_always", "_etag", "_full", "_full_head", "_unchanged", "_unchanged_head",
                 "prepared")  # fmt: skip

    def __init__(self, prepared: PreparedAnswer, more: Headers) -> None:
        self.prepared = prepared
        contract = prepared.query.plan.contract
        self._always: Headers = [
            CACHE_CONTROL,
            *SECURITY_HEADERS,
            *deprecation(contract.status, contract.sunset),
            *more,
        ]
        self._etag = b""
        self.stamp()

    def stamp(self) -> None:
        """Prepare the headers again if the answer has another tag now."""
        etag = self.prepared.etag
        if etag != self._etag:
            self._etag = etag
            self._unchanged: Headers = [(b"etag", etag), *self._always]
            self._full: Headers = [JSON, *self._unchanged]
            self._unchanged_head = _head(HTTPStatus.NOT_MODIFIED, self._unchanged)
            self._full_head = _head(HTTPStatus.OK, self._full)

    def reply(
        self, condition: bytes | None, now_us: int, *more: tuple[bytes, bytes]
    ) -> tuple[int, Headers, bytes]:
        """Return status, headers and body, with the headers *more* behind the prepared ones."""
        if condition is not None and matches(condition, self._etag):
            return 304, [*self._unchanged, *more], b""
        body = self.prepared.answer.render(now_us)
        return 200, [*self._full, (b"content-length", b"%d" % len(body)), *more], body

    def response_bytes(
        self, condition: bytes | None, now_us: int, more: bytes
    ) -> tuple[int, bytes]:
        """Return the status and the whole answer, with the header lines *more*."""
        if condition is not None and matches(condition, self._etag):
            return 304, b"%b%b\r\n" % (self._unchanged_head, more)
        body = self.prepared.answer.render(now_us)
        return 200, b"%bcontent-length: %d\r\n%b\r\n%b" % (self._full_head, len(body), more, body)


class PlainReads:
    """The questions asked lately; forgets all of them rather than grow beyond `MAX_KEPT`.

    One event loop.
    """

    def __init__(
        self,
        answers: PreparedAnswers,
        check_query: Callable[..., MetricQuery],
        *,
        groups_of: Callable[[str], GroupCursors],
        more: Headers,
    ) -> None:
        self._answers = answers
        self._check_query = check_query
        self._groups_of = groups_of
        self._more = more
        self._known: dict[_Name, PlainRead] = {}

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._known)

    def known(
        self, caller: Caller, path: str, query_string: bytes, now_us: int
    ) -> PlainRead | None:
        """Return a question that was asked before, with a current answer."""
        return self._current(self._name(caller, path, query_string), now_us)

    def find(self, caller: Caller, path: str, query_string: bytes, now_us: int) -> PlainRead | None:
        """Return a question with a current answer, asked before or not; None if not plain."""
        name = self._name(caller, path, query_string)
        return self._current(name, now_us) or self._learn(caller, name)

    def _name(self, caller: Caller, path: str, query_string: bytes) -> _Name:
        return (
            caller.realm,
            path,
            self._without_token(query_string) if _TOKEN in query_string else query_string,
        )

    def _current(self, name: _Name, now_us: int) -> PlainRead | None:
        read = self._known.get(name)
        if read is None or read.prepared.outdated or not self._answers.ready:
            return None
        if not self._answers.refresh(read.prepared, now_us):
            return None
        read.stamp()
        return read

    def _without_token(self, query_string: bytes) -> bytes:
        """Return the query without a token that is covered; as it is when it has to be waited for.

        Every token is another text: kept in the query, it would make every question a new one.
        """
        parts = query_string.split(b"&")
        tokens = [part for part in parts if part.startswith(_TOKEN)]
        if len(tokens) != 1 or not self._answers.covers(tokens[0][len(_TOKEN) :].decode("latin-1")):
            return query_string
        parts.remove(tokens[0])
        return b"&".join(parts)

    def _learn(self, caller: Caller, name: _Name) -> PlainRead | None:
        _, path, query_string = name
        self._known.pop(name, None)
        try:
            parameters = parse_metric_parameters(path[len(METRICS) :], query_string)
            if not parameters.live:
                return None
            query = self._check_query(
                caller,
                parameters.name,
                version=parameters.version,
                window=parameters.window,
                where=parameters.where,
                by=parameters.by,
                limit=parameters.limit,
                cursor=parameters.cursor,
                cursors=self._groups_of(caller.tenant),
            )
            prepared = self._answers.at_once(query, caller.tenant)
        except AgentFlowError:
            return None
        if prepared is None:
            return None
        if len(self._known) >= MAX_KEPT:
            self._known.clear()
        read = self._known[name] = PlainRead(prepared, self._more)
        return read


def _head(status: HTTPStatus, headers: Headers) -> bytes:
    """Return the beginning of an answer, up to the headers that differ from request to request."""
    line = b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode())
    return line + b"".join(b"%b: %b\r\n" % header for header in headers)
