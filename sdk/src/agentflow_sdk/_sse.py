"""Server-sent events, parsed as the WHATWG standard says, from bytes in pieces of any size.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One dispatched event.

    Attributes:
        id: The last id the stream has named so far; empty when none.
    """

    event: str
    data: str
    id: str


class SSEParser:
    """Turns the bytes of one connection into events; what a cut leaves unfinished is dropped.

    Attributes:
        last_event_id: What a new connection should resume from.
        retry_ms: How long the server wants clients to wait before they reconnect, if it said so.
    """

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._started = False
        self._after_cr = False
        self._pending_id = last_event_id
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Take in some bytes and yield the events they complete."""
        for line in self._lines(self._decoder.decode(chunk)):
            if line:
                self._field(line)
            elif (event := self._dispatch()) is not None:
                yield event

    def _lines(self, text: str) -> Iterator[str]:
        if not text:
            return
        if not self._started:
            text = text.removeprefix("\ufeff")
            self._started = True
        # CR, LF and CRLF each end one line, and a chunk may end between the two of CRLF.
        if self._after_cr:
            text = text.removeprefix("\n")
        self._after_cr = text.endswith("\r")
        text = self._text + text.replace("\r\n", "\n").replace("\r", "\n")
        *lines, self._text = text.split("\n")
        yield from lines

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._pending_id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_ms = int(value)
            case _:  # comments and fields of the future
                pass

    def _dispatch(self) -> ServerSentEvent | None:
        self.last_event_id = self._pending_id
        name, data = self._event or "message", self._data
        self._event, self._data = "", []
        if not data:
            return None
        return ServerSentEvent(name, "\n".join(data), self.last_event_id)
