"""A server-sent event stream that survives cut connections without gap or repetition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Generic, Self, TypeVar

import httpx2
from pydantic import ValidationError

from agentflow_sdk._async_connection import AsyncConnection, unreachable
from agentflow_sdk._retry import transient
from agentflow_sdk._sse import SSEParser
from agentflow_sdk._wire import problem_in, problem_of
from agentflow_sdk.errors import AnswerError, ProblemError, UnreachableError

T = TypeVar("T")
_SILENCE_SECONDS = 45.0
"""The server says something at least every 15 s; three times that means the connection is dead."""
_NO_CONTENT = 204


class AsyncStream(Generic[T]):
    """Items of a stream, as an iterator and a context manager; not for use by several tasks.

    When the connection breaks it is opened again from the last item that was taken. When the
    server ends it, because contracts changed so that it cannot be answered any more, the next item
    is the server's problem, raised.

    Attributes:
        last_event_id: Keep it, and give it to a new stream to go on after the last item.
        reconnections: How often the connection was opened again.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        path: str,
        params: Mapping[str, str],
        *,
        read: Callable[[str], T],
        last_event_id: str = "",
    ) -> None:
        self._connection = connection
        self._path = path
        self._params = params
        self._read = read
        self._items = self._run()
        self.last_event_id = last_event_id
        self.reconnections = 0

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        return await self._items.__anext__()

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
        """Close the connection."""
        await self._items.aclose()

    async def _run(self) -> AsyncGenerator[T, None]:
        failures = 0
        retry_ms: int | None = None
        while True:
            parser = SSEParser(self.last_event_id)
            parser.retry_ms = retry_ms
            problem: UnreachableError | ProblemError | None = None
            try:
                async with aclosing(self._chunks()) as chunks:
                    async for chunk in chunks:
                        failures = 0
                        for event in parser.feed(chunk):
                            self.last_event_id = event.id
                            if event.event == "end":
                                raise problem_in(event.data)
                            yield self._item(event.data)
                        self.last_event_id = parser.last_event_id
            except _EndError:
                return
            except UnreachableError as error:
                problem = error
            except ProblemError as error:
                if not transient(error.status, error.code):
                    raise
                problem = error
            retry_ms = parser.retry_ms
            failures += 1
            delay = self._connection.reconnect.delay_seconds(failures, chance=0)
            if delay is None:
                raise problem or UnreachableError(f"the stream {self._path} keeps ending at once")
            await asyncio.sleep(max(delay, (retry_ms or 0) / 1000))
            self.reconnections += 1

    def _item(self, text: str) -> T:
        try:
            return self._read(text)
        except ValidationError as error:
            raise AnswerError(f"an item of the stream {self._path} cannot be read") from error

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        timeout = httpx2.Timeout(self._connection.timeout_seconds, read=_SILENCE_SECONDS)
        http = self._connection.http
        try:
            async with http.stream(
                "GET", self._path, params=self._params, headers=headers, timeout=timeout
            ) as response:
                if response.status_code == _NO_CONTENT:
                    raise _EndError
                if not response.is_success:
                    await response.aread()
                    raise problem_of(response)
                async for chunk in response.aiter_bytes():
                    yield chunk
        except httpx2.TransportError as error:
            raise unreachable(http.base_url, error) from error


class _EndError(Exception):
    """The server says the stream is over for good."""
