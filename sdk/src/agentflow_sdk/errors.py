"""Every error the client raises on purpose.

* AgentFlowError
  x UnreachableError            no connection, or it broke and no retry was left
    + RequestTimeoutError       the server did not answer in time
  x AnswerError                 what came back is not an AgentFlow answer
  x FramesMissingError          the optional frame libraries are not installed
  x ProblemError                the server said no, and why (RFC 9457)
    + InvalidRequestError       400, 405, 413, 415, 422: the request cannot be answered as it is
      - RejectedError           the event broke its contract; it waits among the dead letters
    + UnauthorizedError         401: the API key is missing or unknown
    + ForbiddenError            403: the API key lacks the scope
    + NotFoundError             404: no such metric, contract, entity, event or dead letter
    + ConflictError             409: one idempotency key, two different bodies
    + NotYetVisibleError        a read could not reach its token in time
    + RateLimitedError          429: too many requests
    + ServerError               5xx: the server cannot, now
"""

from __future__ import annotations

from typing import Any, Final

from agentflow_sdk.problems import FieldError, Problem


class AgentFlowError(Exception):
    """Base of every deliberate error.

    Attributes:
        code: Stable, machine-readable name.
        hint: What would work, when that is known.
        request_id: Finds the request in the server's logs; None when it never got there.
    """

    code = "client_error"
    hint: str | None = None
    request_id: str | None = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class UnreachableError(AgentFlowError):
    """No connection to the server, or it broke and no retry was left."""

    code = "unreachable"


class RequestTimeoutError(UnreachableError):
    """The server did not answer in time."""

    code = "timeout"


class AnswerError(AgentFlowError):
    """What came back is not an AgentFlow answer: another server, or an incompatible version."""

    code = "answer_unreadable"


class FramesMissingError(AgentFlowError):
    """The optional frame libraries are not installed."""

    code = "frames_missing"
    hint = 'Install them with `pip install "agentflow-sdk[frames]"`.'


class ProblemError(AgentFlowError):
    """The server said no, and why.

    Attributes:
        status: HTTP status.
        detail: What is wrong with this very request.
        errors: Every single thing that is wrong, with pointers into what was sent.
        retry_after_seconds: When the server suggests to come back, if it does.
    """

    def __init__(self, problem: Problem, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.status = problem.status
        self.code = problem.code
        self.detail = problem.detail
        self.hint = problem.hint
        self.request_id = problem.request_id
        self.errors: tuple[FieldError, ...] = problem.errors
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        """Render message, single errors and hint, as a person wants to read them."""
        lines = [super().__str__(), *(f"  {error}" for error in self.errors)]
        return "\n".join([*lines, self.hint] if self.hint else lines)

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive pickling, as errors that cross process pools must."""
        return (_rebuild, (type(self), self.problem, self.retry_after_seconds))


class InvalidRequestError(ProblemError):
    """The request cannot be answered as it is."""


class RejectedError(InvalidRequestError):
    """The event broke its contract; it waits among the dead letters until it is fixed."""

    @property
    def dead_letter(self) -> int | None:
        """Where the event waits: the offset for `dead_letter`, `fix` and `replay`."""
        return self.problem.dead_letter


class UnauthorizedError(ProblemError):
    """The API key is missing or unknown."""


class ForbiddenError(ProblemError):
    """The API key lacks the scope."""


class NotFoundError(ProblemError):
    """No such metric, contract, entity, event or dead letter."""


class ConflictError(ProblemError):
    """One idempotency key was used with two different bodies."""


class NotYetVisibleError(ProblemError):
    """A read could not reach its token in time."""


class RateLimitedError(ProblemError):
    """Too many requests."""


class ServerError(ProblemError):
    """The server cannot, now."""


_BY_STATUS: Final[dict[int, type[ProblemError]]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitedError,
}
_SERVER_SIDE: Final = 500


def error_of(problem: Problem, *, retry_after_seconds: float | None = None) -> ProblemError:
    """Return the error that a problem is raised as."""
    kind = _BY_STATUS.get(problem.status)
    if problem.code == "not_yet_visible":
        kind = NotYetVisibleError
    elif kind is None and problem.status >= _SERVER_SIDE:
        kind = ServerError
    elif kind is None:
        kind = RejectedError if problem.dead_letter is not None else InvalidRequestError
    return kind(problem, retry_after_seconds=retry_after_seconds)


def _rebuild(
    kind: type[ProblemError], problem: Problem, retry_after_seconds: float | None
) -> ProblemError:
    return kind(problem, retry_after_seconds=retry_after_seconds)
