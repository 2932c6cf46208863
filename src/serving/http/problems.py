"""Problems as RFC 9457 writes them, and the one table from an error's code to its status.

A code is a promise: clients branch on it. Statuses follow from codes, and are chosen nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from agentflow.errors import AgentFlowError, BacklogFullError, ContractFilesError
from agentflow.suggestions import nearest_and
from agentflow.wording import counted, quoted
from serving.http.replies import PROBLEM, Reply

TABLE: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "backlog_full": (429, "More waits to be stored than there is room for"),
        "body_invalid": (422, "The body does not have the right shape"),
        "content_coding_invalid": (400, "The body is not what its content coding says"),
        "content_coding_unsupported": (415, "The body has an unsupported content coding"),
        "contract_breaking": (409, "The contract would break its readers"),
        "contract_invalid": (422, "Contract files are wrong"),
        "contract_unknown": (404, "No such contract"),
        "cursor_invalid": (400, "The cursor is not one this server gave"),
        "data_dir_locked": (503, "The data directory is in use"),
        "dimension_unknown": (400, "The metric has no such dimension"),
        "entity_unknown": (404, "No such entity contract"),
        "source_unknown": (404, "No such source contract"),
        "event_rejected": (422, "The event was rejected"),
        "event_unknown": (404, "No such event contract"),
        "expression_invalid": (422, "An expression is wrong"),
        "header_invalid": (400, "A header is malformed"),
        "headers_too_large": (431, "The headers are too large"),
        "host_refused": (403, "The server does not answer to that name"),
        "idempotency_conflict": (422, "The idempotency key was used with another body"),
        "idempotency_in_progress": (409, "The same request is being worked on"),
        "instant_out_of_range": (422, "The instant is not one that can be asked about"),
        "internal": (500, "The server made a mistake"),
        "key_ended": (409, "The API key is revoked or has expired"),
        "key_expired": (401, "The API key has expired"),
        "key_malformed": (401, "The API key is mistyped or cut off"),
        "key_missing": (401, "An API key is needed"),
        "key_revoked": (401, "The API key was revoked"),
        "key_unknown": (401, "The API key is not known"),
        "malformed_json": (400, "The body is not JSON"),
        "media_type_unsupported": (415, "The body has an unsupported media type"),
        "method_not_allowed": (405, "The resource does not have that method"),
        "metric_unknown": (404, "No such metric"),
        "not_found": (404, "It does not exist"),
        "not_yet_visible": (409, "The state has not reached the token"),
        "offset_lost": (503, "The stream does not hold any more what was to be read"),
        "origin_refused": (403, "A web page of another origin may not write"),
        "parameter_invalid": (400, "A parameter is wrong"),
        "parameter_unknown": (400, "There is no such parameter"),
        "rate_limited": (429, "Too many requests"),
        "record_too_large": (413, "The event is too large to be stored"),
        "request_invalid": (400, "The request cannot be answered"),
        "request_timeout": (408, "The request took too long to arrive"),
        "route_unknown": (404, "There is nothing at this address"),
        "scope_missing": (403, "The API key may not do that"),
        "storage_corrupt": (503, "Storage is being repaired"),
        "storage_failed": (503, "Storage does not work"),
        "storage_full": (503, "Storage is full"),
        "token_invalid": (400, "The token is not one of this log"),
        "stored_keys_off": (409, "This platform takes no stored keys"),
        "too_large": (413, "The body is too large"),
        "too_many_connections": (503, "There are too many open connections"),
        "too_many_events": (413, "The body holds too many events"),
        "too_many_streams": (429, "There are too many open streams"),
        "topic_unknown": (503, "A topic is missing"),
        "unavailable": (503, "A part that is needed is not running"),
        "uri_too_long": (414, "The address is too long"),
        "value_too_large": (422, "A number has more digits than can be computed with"),
        "window_unknown": (400, "The metric has no such window"),
    }
)
RETRY_AFTER_SECONDS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "backlog_full": 1,
        "idempotency_in_progress": 1,
        "not_yet_visible": 1,
        "storage_corrupt": 5,
        "storage_failed": 5,
        "storage_full": 5,
        "too_many_connections": 5,
        "too_many_streams": 5,
        "topic_unknown": 5,
        "unavailable": 1,
    }
)
_encode = msgspec.json.Encoder().encode


class ProblemError(Exception):
    """A request that ends in a problem; raised inside an operation.

    Attributes:
        problem: What is sent.
        headers: Sent with it.
    """

    def __init__(self, problem: Problem, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = headers


class Detail(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong, and where: a JSON pointer, a parameter or a header."""

    code: str
    message: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None
    hint: str | None = None


class ProblemShape(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str | None
    errors: list[Detail]
    request_id: str
    dead_letter: int | None = None
    token: str | None = None


class Problem(msgspec.Struct, frozen=True):
    """What went wrong with a request.

    Attributes:
        code: One of `TABLE`.
        detail: What is wrong with this request, for people.
        hint: What would have worked.
        members: More members of the document (`dead_letter`, `token`).
        retry_seconds: When to try again, where that is known better than by the code.
    """

    code: str
    detail: str
    hint: str | None = None
    errors: tuple[Detail, ...] = ()
    members: Mapping[str, object] = {}
    retry_seconds: int | None = None

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return TABLE[self.code][0]

    def document(self, request_id: str) -> dict[str, object]:
        """Return the members of the JSON document."""
        status, title = TABLE[self.code]
        return {
            "type": f"urn:agentflow:problem:{self.code}",
            "title": title,
            "status": status,
            "code": self.code,
            "detail": printable(self.detail),
            "hint": printable(self.hint) if self.hint else None,
            "errors": self.errors,
            "request_id": request_id,
            **self.members,
        }

    def reply(self, request_id: str, *headers: tuple[bytes, bytes]) -> Reply:
        """Return the answer to send."""
        extra = list(headers)
        seconds = self.retry_seconds or RETRY_AFTER_SECONDS.get(self.code)
        if seconds is not None and not any(name == b"retry-after" for name, _ in headers):
            extra.append((b"retry-after", b"%d" % seconds))
        if self.status == 401:  # noqa: PLR2004 - RFC 9110: a 401 names how to authenticate
            extra.append((b"www-authenticate", b'ApiKey realm="agentflow", header="X-API-Key"'))
        return Reply(self.status, (PROBLEM, *extra), _encode(self.document(request_id)))


def problem_of(error: AgentFlowError) -> Problem:
    """Return the problem of an error that was raised on purpose.

    >>> problem_of(AgentFlowError("it broke")).status
    500
    """
    code = error.code if error.code in TABLE else "internal"
    if isinstance(error, ContractFilesError):
        errors = tuple(
            Detail("contract_invalid", printable(item.message), pointer=item.place,
                   hint=item.hint)
            for item in error.problems
        )  # fmt: skip
        message = f"{counted(len(errors), 'problem')} in contract files"
        return Problem(code, message, error.hint, errors)
    retry_seconds = error.retry_seconds if isinstance(error, BacklogFullError) else None
    return Problem(code, str(error), error.hint, retry_seconds=retry_seconds)


def unknown_parameters(unknown: Iterable[str], known: Iterable[str]) -> Problem:
    """Return the problem of query parameters that do not exist."""
    names = sorted(known)
    listed = f"Known parameters: {', '.join(names)}." if names else "It takes no parameters."
    errors = tuple(
        Detail(
            "parameter_unknown",
            printable(f"parameter {quoted(name)} does not exist"),
            parameter=printable(name),
            hint=nearest_and(name, names, listed),
        )
        for name in unknown
    )
    return Problem("parameter_unknown", errors[0].message, errors[0].hint, errors)


def printable(text: str) -> str:
    """Return text that can be encoded: lone surrogates from hostile input become `?`."""
    return text.encode("utf-8", "replace").decode()
