"""Messages of accepted events, each rendered once for all streams: from memory, or from the log.

Reading the log is the work of one thread: however many streams are behind, they take turns there,
and streams that are not behind do not wait.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from typing import Final, NamedTuple

from agentflow.events import Event
from processing.live.groups import decoded
from processing.platform import Platform
from processing.write.tokens import Token
from processing.write.visibility import PARTITION
from serving.read.event_document import EventDocuments
from serving.read.offsets import Offsets

RING_EVENTS: Final = 8_192
AT_ONCE: Final = 256
_PAGES_KEPT: Final = 8
_TEXTS_KEPT: Final = 16
_offset = attrgetter("offset")


class Page(NamedTuple):
    """Messages for a subscriber, and the position behind all that was looked at."""

    text: bytes
    position: int


class _Message:
    """An accepted event with its text, once a stream needs it."""

    __slots__ = ("event", "offset", "text")

    def __init__(self, offset: int, event: Event) -> None:
        self.offset = offset
        self.event = event
        self.text = b""


class _Logged(NamedTuple):
    """A stretch of the log, the position behind it, and the log's end when it was read."""

    messages: Sequence[_Message]
    position: int
    end: int


class _Wanted(NamedTuple):
    """Which messages, by the first and the last that was looked at, and for whom."""

    first: int
    last: int
    tenant: str
    types: frozenset[str]


class EventPages:
    """What streams of events are made of. One event loop; `close` ends its thread.

    Attributes:
        rendered: How many events were turned into text.
    """

    def __init__(
        self, platform: Platform, offsets: Offsets, *, ring_events: int = RING_EVENTS
    ) -> None:
        self._platform = platform
        self._offsets = offsets
        self._ring_events = ring_events
        self._documents = EventDocuments(platform.registry, offsets)
        self._ring: list[_Message] = []
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="event-pages")
        self._logged: OrderedDict[int, _Logged] = OrderedDict()
        self._texts: dict[_Wanted, bytes] = {}
        self.rendered = 0

    def close(self) -> None:
        """Let the thread end, and tell those who wait for it."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    def extend(self, events: Iterable[tuple[int, Event]]) -> None:
        """Remember the newest events."""
        if self._documents.registry is not self._platform.registry:
            self._documents = EventDocuments(self._platform.registry, self._offsets)
            self._logged.clear()
            self._texts.clear()
            for message in self._ring:
                message.text = b""
        self._ring += [_Message(offset, event) for offset, event in events]
        if len(self._ring) >= 2 * self._ring_events:
            del self._ring[: -self._ring_events]

    async def page(self, tenant: str, types: frozenset[str], position: int) -> Page:
        """Return what a stream at *position* gets next; empty at the end."""
        end = self._platform.engine.next_offset
        if position >= end:
            return Page(b"", position)
        if position < (self._ring[0].offset if self._ring else end):
            found = await self._from_log(position)
            messages, behind = found.messages, found.position
        else:
            index = bisect_left(self._ring, position, key=_offset)
            messages = self._ring[index : index + AT_ONCE]
            behind = messages[-1].offset + 1 if messages else end
        return Page(self._text(messages, tenant, types), behind)

    def _text(self, messages: Sequence[_Message], tenant: str, types: frozenset[str]) -> bytes:
        """Return the text of a page; streams that keep up want the same one, one after another."""
        if not messages:
            return b""
        wanted = _Wanted(messages[0].offset, messages[-1].offset, tenant, types)
        text = self._texts.get(wanted)
        if text is None:
            text = self._joined(messages, tenant, types)
            if len(self._texts) >= _TEXTS_KEPT:
                del self._texts[next(iter(self._texts))]
            self._texts[wanted] = text
        return text

    def _joined(self, messages: Iterable[_Message], tenant: str, types: frozenset[str]) -> bytes:
        return b"".join(
            [
                message.text or self._render(message)
                for message in messages
                if message.event.tenant == tenant and _is_one(message.event, types)
            ]
        )

    def _render(self, message: _Message) -> bytes:
        log_id = self._platform.accepted.log_id
        token = Token(log_id, {PARTITION: message.offset + 1})
        name = token.encode(self._platform.tokens.seal, salted=False).encode()
        body = self._documents.render(message.event, message.offset)
        message.text = b"id: %b\nevent: event\ndata: %b\n\n" % (name, body)
        self.rendered += 1
        return message.text

    async def _from_log(self, position: int) -> _Logged:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reader, self._read, position)

    def _read(self, position: int) -> _Logged:
        """Read a page of the log, or find it read: streams from the start want the same ones."""
        end = self._platform.engine.next_offset
        found = self._logged.pop(position, None)
        if found is None or (found.end != end and found.position == found.end):
            records = self._platform.accepted.read(start=position, limit=AT_ONCE)
            visible = [record for record in records if record.offset < end]
            events = decoded(visible, self._platform.definitions.gate)
            messages = [_Message(offset, event) for offset, event in events]
            found = _Logged(messages, visible[-1].offset + 1 if visible else end, end)
        self._logged[position] = found
        while len(self._logged) > _PAGES_KEPT:
            self._logged.popitem(last=False)
        return found


def _is_one(event: Event, types: frozenset[str]) -> bool:
    """Tell whether an event is of one of the types, which may say a version; none means all."""
    return not types or event.type in types or str(event.ref) in types
