"""The platform that commands talk to, through the SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentflow.cli.failure import REFUSED, UNREACHED, Failure
from agentflow.cli.options import settings

if TYPE_CHECKING:
    from agentflow_sdk import AgentFlow, ProblemError

_SERVER_SIDE = 500


@contextmanager
def connected(url: str | None, api_key: str | None) -> Iterator[AgentFlow]:
    """Yield a client; what goes wrong with it ends the command.

    Raises:
        Failure: The platform cannot be reached, or refuses.
    """
    from agentflow_sdk import AgentFlow, AgentFlowError, ProblemError, UnreachableError

    configured = settings()
    base_url = url or configured.url
    key = api_key or configured.api_key or None
    try:
        with AgentFlow(base_url, api_key=key, source="urn:agentflow:cli") as client:
            yield client
    except ProblemError as error:
        raise refusal(error) from error
    except UnreachableError as error:
        hint = "Start it with `agentflow up`, or name another with --url; see `agentflow doctor`."
        raise Failure(str(error), exit_code=UNREACHED, code=error.code, hint=hint) from error
    except AgentFlowError as error:
        raise Failure(str(error), exit_code=UNREACHED, code=error.code, hint=error.hint) from error


def refusal(error: ProblemError) -> Failure:
    """Return the failure that a problem of the platform ends a command with."""
    details = [str(each) for each in error.errors]
    if error.request_id and error.status >= _SERVER_SIDE:
        details.append(f"request id {error.request_id}")
    return Failure(
        error.detail,
        exit_code=UNREACHED if error.status >= _SERVER_SIDE else REFUSED,
        code=error.code,
        hint=error.hint,
        details=tuple(details),
    )
