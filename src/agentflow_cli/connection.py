"""The platform that commands talk to, through the SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from agentflow.wording import quoted
from agentflow_cli.failure import REFUSED, UNREACHED, USAGE, Failure
from agentflow_cli.options import settings

if TYPE_CHECKING:
    from agentflow_sdk import AgentFlow, ProblemError

_SERVER_SIDE = 500
_COMMANDS: Final = {
    "GET /v1/deadletter.": "`agentflow deadletter list`.",
    "Send it as X-API-Key.": "Pass it with --api-key or AGENTFLOW_API_KEY.",
    "GET /v1/metrics lists": "`agentflow metric` lists",
    "in GET /v1/health;": "in `agentflow doctor`;",
}
"""What a hint names on the command line, by what it names over HTTP."""


@contextmanager
def connected(url: str | None, api_key: str | None) -> Iterator[AgentFlow]:
    """Yield a client; what goes wrong with it ends the command.

    Raises:
        Failure: The platform cannot be reached, or refuses.
    """
    from agentflow_sdk import (
        AgentFlow,
        AgentFlowError,
        ProblemError,
        RequestTimeoutError,
        UnreachableError,
    )

    configured = settings()
    base_url = _address(url or configured.url)
    key = api_key or configured.api_key or None
    try:
        with AgentFlow(base_url, api_key=key, source="urn:agentflow:cli") as client:
            yield client
    except ProblemError as error:
        raise refusal(error) from error
    except RequestTimeoutError as error:
        hint = "It is there, and may still do it: see `agentflow doctor` before you repeat it."
        raise Failure(str(error), exit_code=UNREACHED, code=error.code, hint=hint) from error
    except UnreachableError as error:
        hint = "Start it with `agentflow up`, or name another with --url; see `agentflow doctor`."
        raise Failure(str(error), exit_code=UNREACHED, code=error.code, hint=hint) from error
    except AgentFlowError as error:
        raise Failure(str(error), exit_code=UNREACHED, code=error.code, hint=error.hint) from error


def _address(url: str) -> str:
    """Check that a platform can be at *url* at all: starting one would not help otherwise.

    Raises:
        Failure: It is not an HTTP address.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        usable = usable and parts.port != 0
    except ValueError:  # a port that is not a number
        usable = False
    if usable:
        return url
    hint = "Write it like http://127.0.0.1:8000, as --url or AGENTFLOW_URL."
    message = f"{quoted(url)} is not an address of http or https"
    raise Failure(message, exit_code=USAGE, code="parameter_invalid", hint=hint)


def refusal(error: ProblemError) -> Failure:
    """Return the failure that a problem of the platform ends a command with."""
    hint = error.hint
    for address, command in _COMMANDS.items():
        hint = hint and hint.replace(address, command)
    details = [str(each) for each in error.errors]
    if error.request_id and error.status >= _SERVER_SIDE:
        details.append(f"request id {error.request_id}")
    return Failure(
        error.detail,
        exit_code=UNREACHED if error.status >= _SERVER_SIDE else REFUSED,
        code=error.code,
        hint=hint,
        details=tuple(details),
    )
