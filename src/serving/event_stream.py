"""Pushes accepted events to subscribers, each exactly once and in order.

A subscriber is a position in the log and nothing else: it is served from a ring of the newest
events, or from the log itself while it is too far behind for that, at its own pace.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncIterator
from itertools import islice
from operator import itemgetter
from typing import Final, NamedTuple

from agentflow.errors import TokenError
from agentflow.events import Event
from ingestion.log.port import VALIDATED
from processing.changes import Change
from processing.live.groups import decoded
from processing.platform import Platform
from processing.positions import PARTITION
from processing.tokens import Token
from serving.event_document import EventDocuments
from serving.subscribers import HEARTBEAT, RETRY, Pulse, require_room

RING_EVENTS: Final = 8_192
_AT_ONCE: Final = 256


class _Page(NamedTuple):
    """Messages for a subscriber, and the position behind all that was looked at."""

    text: bytes
    position: int


class EventStreams:
    """Subscriptions to accepted events. One event loop; `close` ends every stream."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._ring: deque[tuple[int, Event]] = deque(maxlen=RING_EVENTS)
        self._woken: set[asyncio.Event] = set()
        self._documents = EventDocuments(platform.registry)
        self._closed = False
        self._unsubscribe = platform.changes.subscribe(self._follow)

    @property
    def subscribers(self) -> int:
        """How many streams are open."""
        return len(self._woken)

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        self._unsubscribe()
        for woken in self._woken:
            woken.set()

    def open(
        self, tenant: str, *, types: frozenset[str], from_start: bool, last_id: str | None
    ) -> AsyncIterator[bytes]:
        """Return the bytes of a stream of the tenant's events; no types means all.

        Raises:
            UnavailableError: There are too many subscribers, or the platform is not ready.
            TokenError: *last_id* is not one of this log, so nobody knows what would be missing.
        """
        require_room(self.subscribers)
        self._platform.require_ready()
        return self._run(tenant, types, self._start(from_start=from_start, last_id=last_id))

    def _start(self, *, from_start: bool, last_id: str | None) -> int:
        if last_id:
            token = Token.decode(last_id)
            token.require_log(self._platform.parts.log.log_id)
            if (position := token.ends.get(PARTITION)) is None:
                raise TokenError("the id names no position", hint="Send back the last id as it is.")
            return position
        return 0 if from_start else self._platform.engine.next_offset

    async def _run(self, tenant: str, types: frozenset[str], position: int) -> AsyncIterator[bytes]:
        woken, pulse = asyncio.Event(), Pulse()
        self._woken.add(woken)
        try:
            yield RETRY
            while not self._closed:
                woken.clear()
                page = await self._page(tenant, types, position)
                moved, position = page.position > position, page.position
                if page.text or pulse.due:
                    pulse.written()
                    yield page.text or HEARTBEAT
                elif not moved:
                    await pulse.wait(woken)
        finally:
            self._woken.discard(woken)

    async def _page(self, tenant: str, types: frozenset[str], position: int) -> _Page:
        if position >= self._platform.engine.next_offset:
            return _Page(b"", position)
        first = self._ring[0][0] if self._ring else self._platform.engine.next_offset
        if position < first:
            events = await asyncio.to_thread(self._logged, position)
        else:
            index = bisect_left(self._ring, position, key=itemgetter(0))
            events = list(islice(self._ring, index, index + _AT_ONCE))
        if not events:
            return _Page(b"", self._platform.engine.next_offset)
        return _Page(self._render(events, tenant, types), events[-1][0] + 1)

    def _logged(self, position: int) -> list[tuple[int, Event]]:
        end = self._platform.engine.next_offset
        records = self._platform.parts.log.read(VALIDATED, start=position, limit=_AT_ONCE)
        visible = [record for record in records if record.offset < end]
        return list(decoded(visible, self._platform.definitions.gate))

    def _render(self, events: list[tuple[int, Event]], tenant: str, types: frozenset[str]) -> bytes:
        log_id = self._platform.parts.log.log_id
        parts = []
        for offset, event in events:
            if event.tenant == tenant and (not types or event.type in types):
                name = Token(log_id, {PARTITION: offset + 1}).encode().encode()
                body = self._documents.render(event, offset)
                parts.append(b"id: %b\nevent: event\ndata: %b\n\n" % (name, body))
        return b"".join(parts)

    def _follow(self, change: Change) -> None:
        if self._documents.registry is not self._platform.registry:
            self._documents = EventDocuments(self._platform.registry)
        self._ring.extend(change.events)
        for woken in self._woken:
            woken.set()
