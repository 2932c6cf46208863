"""Sends calls over one pool of connections, repeating those that may be repeated."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from typing import TypeVar

import httpx2

from agentflow_sdk._retry import Retry, transient
from agentflow_sdk._wire import Call
from agentflow_sdk.errors import ProblemError, RequestTimeoutError, UnreachableError

T = TypeVar("T")


class Connection:
    """Connections to one server, and how patiently to use them."""

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        timeout_seconds: float,
        retry: Retry,
        reconnect: Retry,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self.retry = retry
        self.reconnect = reconnect
        self.http = httpx2.Client(
            base_url=base_url, headers=headers, timeout=timeout_seconds, transport=transport
        )

    def do(self, call: Call[T]) -> T:
        """Send a call and return its answer.

        Raises:
            AgentFlowError: As drawn in `agentflow_sdk.errors`.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                return call.parse(self._send(call))
            except UnreachableError:
                delay = self._delay_seconds(call, attempt)
                if delay is None:
                    raise
            except ProblemError as error:
                if not transient(error.status, error.code):
                    raise
                delay = self._delay_seconds(call, attempt, error.retry_after_seconds)
                if delay is None:
                    raise
            time.sleep(delay)

    def close(self) -> None:
        """Close all connections."""
        self.http.close()

    def _send(self, call: Call[T]) -> httpx2.Response:
        try:
            return self.http.request(
                call.method,
                call.path,
                params=call.params,
                headers=call.headers,
                content=call.content,
                timeout=self.timeout_seconds + call.timeout_seconds,
            )
        except httpx2.TimeoutException as error:
            raise RequestTimeoutError(
                f"{call.method} {call.path} got no answer from {self.http.base_url} in time",
                hint="Raise timeout_seconds, or see `agentflow doctor`."
                if call.repeatable
                else "The server may still do it: look before you repeat it.",
            ) from error
        except httpx2.TransportError as error:
            raise unreachable(self.http.base_url, error) from error

    def _delay_seconds(
        self, call: Call[T], attempt: int, retry_after_seconds: float | None = None
    ) -> float | None:
        if not call.repeatable:
            return None
        chance = random.random()  # noqa: S311  # spreads clients, guards nothing
        return self.retry.delay_seconds(
            attempt, chance=chance, retry_after_seconds=retry_after_seconds
        )


def unreachable(base_url: httpx2.URL, error: httpx2.TransportError) -> UnreachableError:
    """Return our error for a broken or impossible connection."""
    reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
    hint = "Start the platform with `agentflow up`, or point the client at where it runs."
    if isinstance(error, httpx2.UnsupportedProtocol):
        reason, hint = "it is not an address of http or https", "Write http://127.0.0.1:8000."
    return UnreachableError(f"{base_url} cannot be reached: {reason}", hint=hint)
