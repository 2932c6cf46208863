"""Asked before a job is submitted: Flink would answer with a page of Java, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from agentflow.errors import ParameterError, UnavailableError

_WITHIN_SECONDS: Final = 20.0
_SHOWN: Final = 5
_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_ENDED: Final = frozenset({"CANCELED", "FINISHED", "FAILED"})


def require_catalog(address: str, *, token: str = "") -> None:
    """Check that the lake's catalog answers.

    Raises:
        UnavailableError: It does not.
    """
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        _ask(f"{address.rstrip('/')}/v1/config", headers)
    except HTTPError:
        return  # a refusal is an answer; the job says what is the matter with it
    except OSError as error:
        raise _no_catalog(address, error) from error


def require_tables(
    address: str, wanted: Iterable[tuple[str, str]], *, warehouse: str, token: str = ""
) -> None:
    """Check that the catalog has the tables the job writes to: it makes none.

    Args:
        address: Of the REST catalog.
        wanted: Namespace and name of each.
        warehouse: Where the catalog keeps tables; catalogs of several warehouses need it.
        token: The catalog's bearer token.

    Raises:
        ParameterError: Some are missing; they are named.
        UnavailableError: The catalog does not answer.
    """
    headers = {"authorization": f"Bearer {token}"} if token else {}
    root = f"{address.rstrip('/')}/v1"
    needed = set(wanted)
    try:
        prefix = _prefix(_ask(f"{root}/config?{urlencode({'warehouse': warehouse})}", headers))
        found = {
            name
            for namespace in sorted({space for space, _ in needed})
            for name in _tables(f"{root}/{prefix}namespaces/{namespace}/tables", namespace, headers)
        }
    except HTTPError as error:
        if error.code in _REFUSED:
            return  # a refusal is an answer; the job says what is the matter with it
        raise UnavailableError(
            f"the lake's catalog at {address} answers {error.code} {error.reason}",
            hint="Start the job again when the catalog works: events wait in the topic until then.",
        ) from error
    except OSError as error:
        raise _no_catalog(address, error) from error
    if missing := sorted(".".join(name) for name in needed - found):
        raise ParameterError(
            f"the lake has no table {_some(missing)}",
            hint="Make them with `agentflow lake apply`, with the same contracts and settings.",
        )


def _prefix(configuration: Mapping[str, Any]) -> str:
    """Return what the catalog wants between version and resource (Iceberg's REST specification)."""
    known = {**configuration.get("defaults", {}), **configuration.get("overrides", {})}
    return f"{known['prefix'].strip('/')}/" if known.get("prefix") else ""


def _tables(url: str, namespace: str, headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the tables of a namespace, page after page; none when it does not exist."""
    page: str | None = ""
    while page is not None:
        try:
            answer = _ask(f"{url}?{urlencode({'pageToken': page})}", headers)
        except HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return
            raise
        yield from ((namespace, each["name"]) for each in answer["identifiers"])
        page = answer.get("next-page-token")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def _no_catalog(address: str, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"the lake's catalog does not answer at {address}: {error}",
        hint="Start the job again when it does: events wait in the topic until then.",
    )


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
