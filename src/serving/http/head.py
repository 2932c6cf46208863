"""`HEAD` as a `GET` whose body is not sent: the same status and headers, from the same route."""

from __future__ import annotations

import asyncio

from serving.http.replies import Message, Send


class Head:
    """The two ends of a request for an app that is asked to `GET`.

    A stream has no end of its own: the app is told that its caller left, once the headers are sent.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started = asyncio.Event()

    async def receive(self) -> Message:
        """Say that the caller is gone, when it has all it wants."""
        await self._started.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send the headers, and then an empty body."""
        if self._started.is_set():
            return
        await self._send(message)
        await self._send({"type": "http.response.body", "body": b""})
        self._started.set()
