"""Every operation of the HTTP surface as a `Call`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote

import httpx2

from agentflow_sdk._model import Model
from agentflow_sdk._wire import Call, checked, encoded, filters, instant, parameters, parser
from agentflow_sdk.models import (
    Answer,
    Batch,
    DeadLetter,
    DeadLetterPage,
    DryRun,
    Entity,
    Metric,
    Receipt,
    Verification,
)

Where: TypeAlias = Mapping[str, object]
By: TypeAlias = str | Sequence[str]
Json: TypeAlias = dict[str, Any]
_EVENT: Final = {"Content-Type": "application/cloudevents+json"}
_BATCH: Final = {"Content-Type": "application/cloudevents-batch+json"}
_JSON: Final = {"Content-Type": "application/json"}
_DETAIL_LIMIT: Final = 100


class MetricList(Model):
    """The metrics that are declared."""

    metrics: tuple[Metric, ...]


_answer = parser(Answer)
_receipt = parser(Receipt)
_json = parser(Json)

LAKE_SECONDS: Final = 120.0
"""Added to the timeout of what is read from the server's lake, which it may have to wait for."""


def event(  # noqa: PLR0913  # these are the attributes of an event
    kind: str,
    data: Mapping[str, object],
    *,
    id: str,  # noqa: A002  # the attribute's name
    source: str,
    time: datetime | None = None,
    subject: str | None = None,
    version: int | None = None,
) -> Json:
    """Return a CloudEvents envelope."""
    envelope: Json = {"specversion": "1.0", "id": id, "source": source, "type": kind}
    if time is not None:
        envelope["time"] = instant(time)
    if subject is not None:
        envelope["subject"] = subject
    if version is not None:
        envelope["dataversion"] = str(version)
    return {**envelope, "data": dict(data)}


def send(envelope: Mapping[str, object], *, key: str) -> Call[Receipt]:
    """Send one event."""
    headers = {**_EVENT, "Idempotency-Key": key}
    content = encoded(envelope)
    return Call("POST", "/v1/events", _receipt, {}, headers, content, repeatable=True)


def send_many(envelopes: Sequence[Mapping[str, object]], *, key: str) -> Call[Receipt]:
    """Send several events in one request."""
    headers = {**_BATCH, "Idempotency-Key": key}
    params = {"detail": "errors"} if len(envelopes) > _DETAIL_LIMIT else {}
    content = encoded(list(envelopes))
    return Call("POST", "/v1/events", _receipt, params, headers, content, repeatable=True)


def send_lines(lines: Sequence[bytes], *, key: str) -> Call[Receipt]:
    """Send events that are encoded already, one JSON document each."""
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key}
    params = {"detail": "errors"} if len(lines) > _DETAIL_LIMIT else {}
    content = b"\n".join(lines)
    return Call("POST", "/v1/events", _receipt, params, headers, content, repeatable=True)


def dry_run(envelope: Mapping[str, object]) -> Call[DryRun]:
    """Ask what an event would move."""
    content = encoded(envelope)
    return Call("POST", "/v1/dry-run", parser(DryRun), {}, _EVENT, content, repeatable=True)


def metric(  # noqa: PLR0913  # the parameters of the most important question
    name: str,
    *,
    version: int | None = None,
    window: str | None = None,
    where: Where | None = None,
    by: By | None = None,
    limit: int | None = None,
    cursor: str | None = None,
    grain: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    as_of: datetime | None = None,
    explain: Literal["full"] | None = None,
    wait: str | None = None,
    wait_seconds: float = 2,
) -> Call[Answer]:
    """Ask for a metric."""
    params = parameters(
        version=version,
        window=window,
        by=by,
        limit=limit,
        cursor=cursor,
        grain=grain,
        start=start,
        end=end,
        as_of=as_of,
        explain=explain,
        at_least=wait,
    )
    waits = wait is not None
    looks_back = any(each is not None for each in (start, end, as_of, explain))
    return Call(
        "GET",
        f"/v1/metrics/{segment(name)}",
        _answer,
        {**params, **filters(where)},
        {"Prefer": f"wait={wait_seconds:g}"} if waits else {},
        repeatable=True,
        timeout_seconds=(wait_seconds if waits else 0) + (LAKE_SECONDS if looks_back else 0),
    )


def metrics() -> Call[MetricList]:
    """List the metrics."""
    return Call("GET", "/v1/metrics", parser(MetricList), repeatable=True)


def batch(
    items: Iterable[Mapping[str, object]], *, wait: str | None = None, wait_seconds: float = 2
) -> Call[Batch]:
    """Ask several questions of one moment."""
    body: Json = {"items": [dict(item) for item in items]}
    if wait is not None:
        body["at_least"] = wait
    return Call(
        "POST",
        "/v1/batch",
        parser(Batch),
        {},
        {**_JSON, "Prefer": f"wait={wait_seconds:g}"} if wait is not None else _JSON,
        encoded(body),
        repeatable=True,
        timeout_seconds=wait_seconds if wait is not None else 0,
    )


def entity(  # noqa: PLR0913  # as the route has them
    kind: str,
    id: str,  # noqa: A002  # the path's name
    *,
    as_of: datetime | None = None,
    timeline: bool = False,
    limit: int | None = None,
    cursor: str | None = None,
    sessions_cursor: str | None = None,
) -> Call[Entity]:
    """Ask for an entity."""
    path = f"/v1/entity/{segment(kind)}/{segment(id)}"
    params = parameters(
        as_of=as_of,
        timeline=timeline or None,
        limit=limit,
        cursor=cursor,
        sessions_cursor=sessions_cursor,
    )
    return Call("GET", path, parser(Entity), params, repeatable=True)


def get(path: str, params: Mapping[str, str] | None = None) -> Call[Json]:
    """Read a resource whose members depend on the contracts."""
    return Call("GET", path, _json, params or {}, repeatable=True)


def get_text(path: str, params: Mapping[str, str]) -> Call[str]:
    """Read a resource that is a document."""

    def parse(response: httpx2.Response) -> str:
        checked(response)
        return response.text

    return Call("GET", path, parse, params, repeatable=True)


def post(path: str, body: Mapping[str, object], *, repeatable: bool = False) -> Call[Json]:
    """Ask for an effect."""
    return Call("POST", path, _json, {}, _JSON, encoded(body), repeatable=repeatable)


def contract_path(kind: str, name: str, version: int | None = None) -> str:
    """Return the address of a contract."""
    path = f"/v1/contracts/{segment(kind)}/{segment(name)}"
    return path if version is None else f"{path}/{version}"


def key_path(key_id: str, verb: str | None = None) -> str:
    """Return the address of a stored API key, or of what is done with it."""
    path = f"/v1/keys/{segment(key_id)}"
    return path if verb is None else f"{path}/{verb}"


def dead_letters(  # as the route has them
    *,
    reason: str | None = None,
    type: str | None = None,  # noqa: A002  # the parameter's name
    status: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[DeadLetterPage]:
    """List dead letters."""
    params = parameters(reason=reason, type=type, status=status, limit=limit, cursor=cursor)
    return Call("GET", "/v1/deadletter", parser(DeadLetterPage), params, repeatable=True)


def dead_letter(offset: int, *, reveal: bool = False) -> Call[DeadLetter]:
    """Read one dead letter."""
    path = f"/v1/deadletter/{offset}"
    params = parameters(reveal=reveal or None)
    return Call("GET", path, parser(DeadLetter), params, repeatable=True)


def verify(*, limit: int, cursor: str | None) -> Call[Verification]:
    """Recompute a page of windows; the server may first wait for its lake."""
    params = parameters(limit=limit, cursor=cursor)
    path, parse = "/v1/verify", parser(Verification)
    return Call("GET", path, parse, params, repeatable=True, timeout_seconds=LAKE_SECONDS)


def publish() -> Call[Json]:
    """Put the server's contracts in force; it may first wait for its lake, and reads much of it."""
    path = "/v1/contracts/publish"
    return Call("POST", path, _json, {}, _JSON, encoded({}), timeout_seconds=LAKE_SECONDS)


def segment(text: str) -> str:
    """Return text as one segment of a path."""
    return quote(text, safe="@")
