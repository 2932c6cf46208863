"""The client; `_client.py` is made from this file by `sdk/scripts/make_sync.py`."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx2

from agentflow_sdk import _calls
from agentflow_sdk._async_connection import AsyncConnection
from agentflow_sdk._async_operations import AsyncOperations
from agentflow_sdk._async_stream import AsyncStream
from agentflow_sdk._calls import By, Where
from agentflow_sdk._retry import Retry
from agentflow_sdk._wire import filters, parameters
from agentflow_sdk.models import (
    Answer,
    Batch,
    DryRun,
    Entity,
    Group,
    Metric,
    Receipt,
    StreamedEvent,
)

DEFAULT_URL = "http://127.0.0.1:8000"


def _new_id() -> str:
    return secrets.token_hex(16)


class AsyncAgentFlow(AsyncOperations):
    """A client of one AgentFlow platform; share one, it keeps connections open.

    Args:
        base_url: Where the platform answers.
        api_key: Sent as `X-API-Key`; its tenant is yours.
        source: The CloudEvents source of what you send; with the id it is an event's identity.
        timeout_seconds: Longest wait for one answer.
        retry: How to repeat what may be repeated; `Retry(attempts=1)` never does.
        reconnect: How patiently streams come back; by default for about five minutes.
        new_id: Makes ids for events that have none.
        transport: Replaces the network, for tests and for in-process servers.
    """

    def __init__(  # noqa: PLR0913  # all optional
        self,
        base_url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        source: str = "urn:agentflow:sdk",
        timeout_seconds: float = 10.0,
        retry: Retry | None = None,
        reconnect: Retry | None = None,
        new_id: Callable[[], str] = _new_id,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {"X-API-Key": api_key} if api_key else {}
        self.source = source
        self._new_id = new_id
        self._connection = AsyncConnection(
            base_url,
            headers=headers,
            timeout_seconds=timeout_seconds,
            retry=retry or Retry(),
            reconnect=reconnect or Retry(attempts=60),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connection.aclose()

    def event(  # noqa: PLR0913  # the attributes of an event
        self,
        type: str,  # noqa: A002  # the attribute's name
        data: Mapping[str, object],
        *,
        id: str | None = None,  # noqa: A002  # the attribute's name
        time: datetime | None = None,
        source: str | None = None,
        subject: str | None = None,
        version: int | None = None,
    ) -> dict[str, Any]:
        """Return an event for `send_many`, with a fresh id unless it has its own.

        Args:
            type: The name of an event contract, `order.created`.
            data: Its fields; use `Decimal` or strings for money.
            id: Counts once per source, however often it is sent.
            time: When it happened, if not now.
            source: Who says so, if not this client's `source`.
            subject: What it is about.
            version: Major version of the contract it was written for.
        """
        return _calls.event(
            type,
            data,
            id=id if id is not None else self._new_id(),
            source=source if source is not None else self.source,
            time=time,
            subject=subject,
            version=version,
        )

    async def send(  # noqa: PLR0913  # the attributes of an event
        self,
        type: str,  # noqa: A002  # the attribute's name
        data: Mapping[str, object],
        *,
        id: str | None = None,  # noqa: A002  # the attribute's name
        time: datetime | None = None,
        source: str | None = None,
        subject: str | None = None,
        version: int | None = None,
    ) -> Receipt:
        """Send one event; when this returns it is stored and every metric has moved.

        Takes the arguments of `event`. Repeated on its own when the network fails: the id makes
        it count once.

        Raises:
            RejectedError: The event breaks its contract; nothing moved.
        """
        event = self.event(
            type, data, id=id, time=time, source=source, subject=subject, version=version
        )
        return await self._connection.do(_calls.send(event, key=self._new_id()))

    async def send_event(self, event: Mapping[str, object]) -> Receipt:
        """Send one CloudEvents envelope as it is.

        Raises:
            RejectedError: The event breaks its contract; nothing moved.
        """
        return await self._connection.do(_calls.send(event, key=self._new_id()))

    async def send_many(self, events: Iterable[Mapping[str, object]]) -> Receipt:
        """Send CloudEvents envelopes (see `event`) in one request, at most 10,000.

        Rejected events do not stop the others and are not raised: look at `rejections`.
        """
        return await self._connection.do(_calls.send_many(list(events), key=self._new_id()))

    async def send_lines(self, lines: Sequence[bytes]) -> Receipt:
        """Send events that are encoded already, one JSON document to a line, at most 10,000.

        A line that is not an event becomes a dead letter like any other rejected event.
        """
        return await self._connection.do(_calls.send_lines(lines, key=self._new_id()))

    async def dry_run_event(self, event: Mapping[str, object]) -> DryRun:
        """Return what one CloudEvents envelope would move; nothing happens."""
        return await self._connection.do(_calls.dry_run(event))

    async def dry_run(
        self,
        type: str,  # noqa: A002  # the attribute's name
        data: Mapping[str, object],
        *,
        id: str | None = None,  # noqa: A002  # the attribute's name
        time: datetime | None = None,
        source: str | None = None,
    ) -> DryRun:
        """Return which metrics an event would move, and by how much; nothing happens."""
        event = self.event(type, data, id=id, time=time, source=source)
        return await self._connection.do(_calls.dry_run(event))

    async def metric(  # noqa: PLR0913  # the parameters of the question
        self,
        name: str,
        *,
        window: str | None = None,
        where: Where | None = None,
        by: By | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        version: int | None = None,
        as_of: datetime | None = None,
        wait: str | None = None,
        wait_seconds: float = 2,
    ) -> Answer:
        """Return a metric.

        Args:
            name: The metric.
            window: One it declares; None for its first.
            where: Dimensions it must have, `{"currency": "EUR"}`; None as value asks for the
                events that have none.
            by: Dimensions to split it by; see `Answer.groups`.
            limit: How many groups at most; None for the server's choice. See `groups`.
            cursor: `next_cursor` of the answer with the groups before.
            version: None for the newest approved one.
            as_of: What it was then.
            wait: Token of a `Receipt` (or several, see `wait`) that the answer must cover.
            wait_seconds: How long the server may take to cover it.

        Raises:
            NotYetVisibleError: The token was not covered in time.
            NotFoundError: No such metric.
            InvalidRequestError: No such window or dimension.
        """
        return await self._connection.do(
            _calls.metric(
                name,
                version=version,
                window=window,
                where=where,
                by=by,
                limit=limit,
                cursor=cursor,
                as_of=as_of,
                wait=wait,
                wait_seconds=wait_seconds,
            )
        )

    async def groups(  # noqa: PLR0913  # the parameters of the question
        self,
        name: str,
        *,
        by: By,
        window: str | None = None,
        where: Where | None = None,
        version: int | None = None,
        as_of: datetime | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Group]:
        """Yield every group of a metric, in order, however many there are.

        Args:
            name: The metric.
            by: Dimensions to split it by.
            window: One it declares; None for its first.
            where: Dimensions it must have.
            version: None for the newest approved one.
            as_of: What it was then.
            limit: How many to ask for at once.
        """
        cursor: str | None = None
        while True:
            answer = await self.metric(
                name,
                by=by,
                window=window,
                where=where,
                version=version,
                as_of=as_of,
                limit=limit,
                cursor=cursor,
            )
            for group in answer.groups:
                yield group
            cursor = answer.next_cursor
            if cursor is None:
                return

    async def series(  # noqa: PLR0913  # the parameters of the question
        self,
        name: str,
        *,
        grain: str,
        start: datetime,
        end: datetime,
        where: Where | None = None,
        by: By | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        version: int | None = None,
        as_of: datetime | None = None,
        wait: str | None = None,
    ) -> Answer:
        """Return a metric step by step from *start* to *end*; see `Answer.to_polars`.

        Args:
            name: The metric.
            grain: Length of a step, `5m`.
            start: Beginning of the first step.
            end: End of the last step, which is not part of it.
            where: Dimensions it must have.
            by: Dimensions to split it by.
            limit: The points of how many groups at most; None for the server's choice.
            cursor: `next_cursor` of the answer with the groups before.
            version: None for the newest approved one.
            as_of: What it was then.
            wait: Token that the answer must cover.
        """
        return await self._connection.do(
            _calls.metric(
                name,
                version=version,
                where=where,
                by=by,
                limit=limit,
                cursor=cursor,
                grain=grain,
                start=start,
                end=end,
                as_of=as_of,
                wait=wait,
            )
        )

    async def explain(
        self,
        name: str,
        *,
        window: str | None = None,
        where: Where | None = None,
        by: By | None = None,
        version: int | None = None,
    ) -> Answer:
        """Return a metric with its causes, and recomputed from the lake: `Answer.recompute`."""
        return await self._connection.do(
            _calls.metric(name, version=version, window=window, where=where, by=by, explain="full")
        )

    async def batch(
        self,
        items: Sequence[Mapping[str, object]],
        *,
        wait: str | None = None,
        wait_seconds: float = 2,
    ) -> Batch:
        """Answer several questions as of one moment.

        Args:
            items: Each `{"metric", "window", "dimensions", "by", "version"}`; only the first is
                needed.
            wait: Token that the answers must cover.
            wait_seconds: How long the server may take to cover it.
        """
        return await self._connection.do(_calls.batch(items, wait=wait, wait_seconds=wait_seconds))

    async def metrics(self) -> tuple[Metric, ...]:
        """List the metrics that are declared."""
        return (await self._connection.do(_calls.metrics())).metrics

    async def entity(  # noqa: PLR0913  # as the route has them
        self,
        type: str,  # noqa: A002  # as the route has it
        id: str,  # noqa: A002  # as the route has it
        *,
        as_of: datetime | None = None,
        timeline: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
        sessions_cursor: str | None = None,
    ) -> Entity:
        """Return what is known of an entity, by default now.

        Raises:
            NotFoundError: No event ever named it.
        """
        return await self._connection.do(
            _calls.entity(
                type,
                id,
                as_of=as_of,
                timeline=timeline,
                limit=limit,
                cursor=cursor,
                sessions_cursor=sessions_cursor,
            )
        )

    def stream_metrics(
        self,
        *names: str,
        window: str | None = None,
        where: Where | None = None,
        last_event_id: str = "",
    ) -> AsyncStream[Answer]:
        """Return the current values of some metrics, then each new value as it comes to be.

        Args:
            names: Metrics; none means all.
            window: One that they declare.
            where: Dimensions they must have.
            last_event_id: Where an earlier stream ended.
        """
        params = parameters(metric=",".join(names) or None, window=window)
        return AsyncStream(
            self._connection,
            "/v1/stream/metrics",
            {**params, **filters(where)},
            read=Answer.model_validate_json,
            last_event_id=last_event_id,
        )

    def stream_events(
        self,
        *,
        type: str | None = None,  # noqa: A002  # the parameter's name
        from_start: bool = False,
        last_event_id: str = "",
    ) -> AsyncStream[StreamedEvent]:
        """Return accepted events as they come, each exactly once.

        Args:
            type: Only events of this type.
            from_start: Begin with the oldest event in the log, and not with the next one.
            last_event_id: Where an earlier stream ended.
        """
        params = parameters(type=type)
        params["from"] = "start" if from_start else "now"
        return AsyncStream(
            self._connection,
            "/v1/stream/events",
            params,
            read=StreamedEvent.model_validate_json,
            last_event_id=last_event_id,
        )
