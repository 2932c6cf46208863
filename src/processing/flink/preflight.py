"""Asked before a job is submitted: Flink would answer with a page of Java, or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from agentflow.errors import ParameterError, UnavailableError

_WITHIN_SECONDS: Final = 20.0
_ENDED: Final = frozenset({"CANCELED", "FINISHED", "FAILED"})


def require_catalog(address: str, *, token: str = "") -> None:
    """Check that somebody answers where the lake's catalog should be.

    Raises:
        UnavailableError: Nobody does.
    """
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        _ask(f"{address.rstrip('/')}/v1/config", headers)
    except HTTPError:
        return  # a refusal is an answer; the job says what is the matter with it
    except OSError as error:
        raise UnavailableError(
            f"the lake's catalog does not answer at {address}: {error}",
            hint="Start the job again once it does: events wait in the topic until then.",
        ) from error


def require_alone(cluster: str, name: str) -> None:
    """Check that the cluster does not run a job of that name already.

    Raises:
        ParameterError: It does.
        UnavailableError: The cluster does not answer.
    """
    try:
        jobs = _ask(f"http://{cluster}/jobs/overview", {})["jobs"]
    except OSError as error:
        raise UnavailableError(
            f"no Flink answers at {cluster}: {error}", hint="Name the REST address of a cluster."
        ) from error
    alive = [job["jid"] for job in jobs if job["name"] == name and job["state"] not in _ENDED]
    if alive:
        raise ParameterError(
            f'job "{name}" runs already as {", ".join(alive)}',
            hint="Cancel it, and start from its last checkpoint with --from-checkpoint.",
        )


def _ask(url: str, headers: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    request = Request(url, headers=dict(headers))  # noqa: S310 - where the operator says
    with urlopen(request, timeout=_WITHIN_SECONDS) as answer:  # noqa: S310 - same
        return json.load(answer)
