"""Requests and answers without any I/O: what both clients share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeAlias, TypeVar

import httpx2
from pydantic import TypeAdapter, ValidationError

from agentflow_sdk.errors import AnswerError, ProblemError, error_of
from agentflow_sdk.problems import Problem

T = TypeVar("T")
Parameters: TypeAlias = Mapping[str, str]
_ERROR = 400


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and how to read its answer.

    Attributes:
        repeatable: Whether sending it twice does no more than sending it once.
        timeout_seconds: Added to the client's own timeout, for requests that wait on purpose.
    """

    method: str
    path: str
    parse: Callable[[httpx2.Response], T]
    params: Parameters = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    repeatable: bool = False
    timeout_seconds: float = 0


def parser(kind: type[T]) -> Callable[[httpx2.Response], T]:
    """Return a function that reads answers of a type, and raises what the server refused."""
    adapter: TypeAdapter[T] = TypeAdapter(kind)

    def parse(response: httpx2.Response) -> T:
        checked(response)
        try:
            return adapter.validate_json(response.content)
        except ValidationError as error:
            raise _unreadable(response, error) from error

    return parse


def checked(response: httpx2.Response) -> None:
    """Raise the problem of a response that has one.

    Raises:
        ProblemError: The server refused.
        AnswerError: The response is not AgentFlow's.
    """
    if response.status_code >= _ERROR:
        raise problem_of(response)
    if not response.is_success:
        raise _unreadable(response)


def problem_of(response: httpx2.Response) -> ProblemError:
    """Return the error of a refused request, also when a proxy wrote it."""
    request_id = response.headers.get("x-request-id")
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        detail = f"the server answered {response.status_code} {response.reason_phrase}".rstrip()
        problem = Problem(status=response.status_code, code="http_error", detail=detail)
    if problem.request_id is None and request_id is not None:
        problem = problem.model_copy(update={"request_id": request_id})
    return error_of(problem, retry_after_seconds=retry_after_seconds(response))


def problem_in(text: str) -> ProblemError:
    """Return the error of a stream that the server ended."""
    try:
        problem = Problem.model_validate_json(text)
    except ValidationError:
        problem = Problem(status=410, code="stream_ended", detail="the server ended the stream")
    return error_of(problem)


def retry_after_seconds(response: httpx2.Response) -> float | None:
    """Read `Retry-After`: seconds, or a date taken against the server's own clock."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
        now = parsedate_to_datetime(response.headers.get("date", ""))
        return max(0.0, (then - now).total_seconds())
    except (TypeError, ValueError):
        return None


def encoded(value: object) -> bytes:
    """Return JSON in which decimals are exact strings and instants are UTC.

    Raises:
        ValueError: NaN, infinity, or an instant without a time zone.
    """
    text = json.dumps(value, default=_plain, allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def instant(value: datetime) -> str:
    """Render an instant in UTC.

    Raises:
        ValueError: It has no time zone, so it is not clear which instant it is.
    """
    if value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no time zone; say datetime(…, tzinfo=UTC)")
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parameters(**values: object) -> dict[str, str]:
    """Return the query parameters that are not None."""
    return {name: _text(value) for name, value in values.items() if value is not None}


def filters(where: Mapping[str, object] | None) -> dict[str, str]:
    """Return dimension filters as query parameters; None asks for the events without a value.

    The empty text, one that is in double quotes and one with characters that do not print is sent
    as JSON, so that it means itself.
    """
    return {name: _filter(value) for name, value in (where or {}).items()}


def _filter(value: object) -> str:
    if value is None:
        return ""
    text = _text(value)
    if text and text.isprintable() and not (len(text) > 1 and text[0] == text[-1] == '"'):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in quoted)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, str):
        return value
    return ",".join(value) if isinstance(value, list | tuple) else str(value)


def _plain(value: Any) -> object:  # noqa: ANN401  # the protocol of json.dumps
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is not a number that can be sent")
        return format(value, "f")
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


def _unreadable(response: httpx2.Response, cause: ValidationError | None = None) -> AnswerError:
    where = ""
    if cause is not None:
        first = cause.errors(include_url=False, include_input=False)[0]
        where = f": {'.'.join(map(str, first['loc']))} {first['msg']}"
    request = response.request
    error = AnswerError(
        f"the answer to {request.method} {request.url.path} is not AgentFlow's{where}",
        hint="Check that the URL is that of an AgentFlow server of the same major version.",
    )
    error.request_id = response.headers.get("x-request-id")
    return error
